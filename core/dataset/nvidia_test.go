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

// TestTheForegroundIsThatOfNVIDIAsOhe compares with testdata/nvidia/ohe.py, whose channel is
// made of the normalised scan; the one of the scan itself is 1 where that is above 0.
func TestTheForegroundIsThatOfNVIDIAsOhe(t *testing.T) {
	for _, name := range []string{"Task04_Hippocampus", "Task10_Colon", "Task05_Prostate"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", "nvidia", name)
			r, err := dataset.Open(dir)
			require.NoError(t, err)
			im, _, _, err := r.Cases[0].Read()
			require.NoError(t, err)
			preprocessed := func(compat bool) *volume.Image {
				fp := &plan.Fingerprint{
					Spacings: [][3]float64{im.Spacing}, Shapes: [][3]int{im.Shape},
					Intensities: make([]plan.Intensity, im.C), MedianRelativeSize: 1,
				}
				p, err := plan.Make(fp, r.JSON, plan.Options{Dataset: name, Recipe: plan.RecipeNVIDIA, Compat: compat, Dyn: plan.Dyn{Foreground: true}})
				require.NoError(t, err)
				assert.Equal(t, im.C, p.Scans())
				c := p.Configuration(plan.ConfigFullRes)
				pre, err := volume.Preprocess(im, nil, dataset.PreprocessOptions(p, c))
				require.NoError(t, err)
				require.Equal(t, p.InputChannels(c), pre.Image.C)
				return pre.Image
			}
			f, err := safetensors.Open(filepath.Join(dir, "3d_fullres_ohe.safetensors"))
			require.NoError(t, err)
			defer f.Close()
			want, shape, err := f.Float32s("image")
			require.NoError(t, err)
			got := preprocessed(true)
			n := shape[0]
			require.Equal(t, n, got.C)
			voxels, most := len(want)/n, 0.0
			for v := range voxels {
				for c := range n - 1 {
					most = max(most, math.Abs(float64(want[c*voxels+v]-got.Data[v*n+c])))
				}
				// Where rounding moves a voxel over the mean, the original's own rounding decided.
				if !nearZero(got.Data[v*n : v*n+n-1]) {
					require.Equal(t, want[(n-1)*voxels+v], got.Data[v*n+n-1], "voxel %d of the mask", v)
				}
			}
			assert.Less(t, most, 16*6*0x1p-23*2, "largest difference of the image: that of the preprocessing, divided by a deviation of at least a half")

			scan := preprocessed(false)
			plain := preprocessedWithout(t, im, r, name)
			inside := 0
			for v := range voxels {
				above := scan.Data[v*n+n-1]
				inside += int(above)
				for c := range n - 1 {
					assert.Equal(t, plain.Data[v*(n-1)+c], scan.Data[v*n+c], "the other channels are normalised once")
				}
			}
			assert.Greater(t, inside, voxels/2, "most of the box was scanned")
		})
	}
}

func nearZero(values []float32) bool {
	for _, x := range values {
		if math.Abs(float64(x)) < 16*6*0x1p-23 {
			return true
		}
	}
	return false
}

// preprocessedWithout is the scan without a channel of the foreground.
func preprocessedWithout(t *testing.T, im *volume.Image, r *dataset.Raw, name string) *volume.Image {
	t.Helper()
	fp := &plan.Fingerprint{
		Spacings: [][3]float64{im.Spacing}, Shapes: [][3]int{im.Shape}, Intensities: make([]plan.Intensity, im.C), MedianRelativeSize: 1,
	}
	p, err := plan.Make(fp, r.JSON, plan.Options{Dataset: name, Recipe: plan.RecipeNVIDIA})
	require.NoError(t, err)
	pre, err := volume.Preprocess(im, nil, dataset.PreprocessOptions(p, p.Configuration(plan.ConfigFullRes)))
	require.NoError(t, err)
	return pre.Image
}
