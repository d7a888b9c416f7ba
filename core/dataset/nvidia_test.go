package dataset_test

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/safetensors"
)

// TestPreprocessingIsThatOfNVIDIA compares with what NVIDIA's preprocessor made
// (testdata/nvidia/make.py): boxes, shapes and labels are equal.
func TestPreprocessingIsThatOfNVIDIA(t *testing.T) {
	for _, c := range [][2]string{
		{"Task04_Hippocampus", plan.ConfigFullRes},
		{"Task10_Colon", plan.ConfigFullRes},
		{"Task10_Colon", plan.Config2D},
		{"Task05_Prostate", plan.ConfigFullRes},
	} {
		name, configuration := c[0], c[1]
		t.Run(name+" "+configuration, func(t *testing.T) {
			dir := filepath.Join("testdata", "nvidia", name)
			r, err := dataset.Open(dir)
			require.NoError(t, err)
			im, seg, _, err := r.Cases[0].Read()
			require.NoError(t, err)
			fp := &plan.Fingerprint{
				Spacings: [][3]float64{im.Spacing}, Shapes: [][3]int{im.Shape},
				Intensities: make([]plan.Intensity, im.C), MedianRelativeSize: 1,
			}
			p, err := plan.Make(fp, r.JSON, plan.Options{Dataset: name, Recipe: plan.RecipeNVIDIA})
			require.NoError(t, err)
			got, err := volume.Preprocess(im, seg, dataset.PreprocessOptions(p, p.Configuration(configuration)))
			require.NoError(t, err)

			f, err := safetensors.Open(filepath.Join(dir, configuration+".safetensors"))
			require.NoError(t, err)
			defer f.Close()
			meta, _, err := f.Ints("meta")
			require.NoError(t, err)
			for a := range 3 {
				assert.Equal(t, meta[a], got.Crop.Lo[a])
				assert.Equal(t, meta[3+a], got.Crop.Hi[a])
			}
			labels, shape, err := f.Ints("labels")
			require.NoError(t, err)
			require.Equal(t, shape, got.Shape[:])
			differ := 0
			for v, l := range got.Labels.Data {
				if l == volume.Outside {
					l = 0
				}
				if int(l) != labels[v] {
					differ++
				}
			}
			assert.Zero(t, differ, "labels that differ, of %d", len(labels))
			image, _, err := f.Float32s("image")
			require.NoError(t, err)
			most := 0.0
			for v := range labels {
				for c := range im.C {
					most = max(most, math.Abs(float64(image[c*len(labels)+v]-got.Image.Data[v*im.C+c])))
				}
			}
			// The original computes places in planes, up to 16, in float32; an image rises by up to 6 a voxel.
			assert.Less(t, most, 16*6*0x1p-23, "largest difference of the image")
		})
	}
}
