package volume_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/safetensors"
)

// goldenCase is a case that nnU-Net v2 preprocessed and exported.
type goldenCase struct {
	dir      string   // of the reference
	plans    string   // file
	config   string   // of the plans
	scans    []string // files, one a channel
	label    string
	resample bool // the case is resampled
}

// goldenCases are all that the data holds, or none if GOUNET_DATA is not set.
func goldenCases(t *testing.T) map[string]goldenCase {
	root := os.Getenv("GOUNET_DATA")
	if root == "" {
		t.Skip("GOUNET_DATA is not set: no preprocessed cases to compare with")
	}
	base := filepath.Join(root, "golden", "preprocessing")
	files, err := filepath.Glob(filepath.Join(base, "*", "*", "preprocessed_*.safetensors"))
	require.NoError(t, err)
	deeper, err := filepath.Glob(filepath.Join(base, "*", "*", "*", "preprocessed_*.safetensors"))
	require.NoError(t, err)
	cases := map[string]goldenCase{}
	for _, f := range append(files, deeper...) {
		c := goldenCase{dir: filepath.Dir(f), resample: true}
		c.config = filepath.Base(f)[len("preprocessed_") : len(filepath.Base(f))-len(".safetensors")]
		set := filepath.Dir(c.dir)
		plans := "nnUNetPlans.json"
		if filepath.Base(set) == "forced_spacing" || filepath.Base(set) == "Dataset903_MiniCTCubic" {
			plans = "nnUNetPlansSpacing.json"
		}
		name := filepath.Base(c.dir)
		if filepath.Dir(set) == base+string(filepath.Separator)+"Dataset004_Hippocampus" {
			c.resample = filepath.Base(set) == "forced_spacing"
			set = filepath.Dir(set)
			msd := filepath.Join(root, "msd_task04_hippocampus")
			c.scans = []string{filepath.Join(msd, "imagesTr", name+".nii.gz")}
			c.label = filepath.Join(msd, "labelsTr", name+".nii.gz")
		} else {
			c.scans, err = filepath.Glob(filepath.Join(c.dir, name+"_*.nii.gz"))
			require.NoError(t, err)
			c.label = filepath.Join(c.dir, "label.nii.gz")
		}
		c.plans = filepath.Join(set, plans)
		rel, _ := filepath.Rel(base, c.dir)
		cases[rel+"/"+c.config] = c
	}
	require.Equal(t, 17, len(cases), "cases in %s", base)
	return cases
}

// read gives the scan and its labels.
func (c goldenCase) read(t *testing.T) (*volume.Image, *volume.Labels) {
	var im *volume.Image
	for i, f := range c.scans {
		one, _, err := nifti.ReadImage(f)
		require.NoError(t, err)
		if im == nil {
			im = volume.NewImage(one.Grid, len(c.scans))
		}
		for v, x := range one.Data {
			im.Data[v*im.C+i] = x
		}
	}
	seg, _, err := nifti.ReadLabels(c.label)
	require.NoError(t, err)
	return im, seg
}

func readJSON(t *testing.T, path string, into any) {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, into), path)
}

// options are those of the plans.
func (c goldenCase) options(t *testing.T) volume.PreprocessOptions {
	var plans struct {
		Transpose  [3]int `json:"transpose_forward"`
		Statistics map[string]struct {
			Mean, Std float64
			Lower     float64 `json:"percentile_00_5"`
			Upper     float64 `json:"percentile_99_5"`
		} `json:"foreground_intensity_properties_per_channel"`
		Configurations map[string]struct {
			Spacing []float64
			Schemes []volume.Scheme `json:"normalization_schemes"`
			Masked  []bool          `json:"use_mask_for_norm"`
		}
	}
	readJSON(t, c.plans, &plans)
	config := plans.Configurations[c.config]
	o := volume.PreprocessOptions{Axes: plans.Transpose, OrderImage: volume.Cubic}
	copy(o.Spacing[3-len(config.Spacing):], config.Spacing)
	for i, scheme := range config.Schemes {
		s := plans.Statistics[strconv.Itoa(i)]
		o.Normalize = append(o.Normalize, volume.Normalization{
			Scheme: scheme, MaskOnly: config.Masked[i],
			Range: volume.Intensity{Mean: s.Mean, Std: s.Std, Lower: s.Lower, Upper: s.Upper},
		})
	}
	return o
}

func tensor(t *testing.T, file, name string) ([]float32, []int) {
	f, err := safetensors.Open(file)
	require.NoError(t, err)
	defer f.Close()
	data, shape, err := f.Float32s(name)
	require.NoError(t, err)
	return data, shape
}

func integers(t *testing.T, file, name string) []int {
	f, err := safetensors.Open(file)
	require.NoError(t, err)
	defer f.Close()
	data, _, err := f.Ints(name)
	require.NoError(t, err)
	return data
}

// channelsLast turns [C V] into [V C].
func channelsLast(x []float32, c int) []float32 {
	out := make([]float32, len(x))
	n := len(x) / c
	for i := range c {
		for v := range n {
			out[v*c+i] = x[i*n+v]
		}
	}
	return out
}

func largestDifference(a, b []float32) float64 {
	worst := 0.0
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i])-float64(b[i])))
	}
	return worst
}

func TestCasesArePreprocessedAsNNUNetDoes(t *testing.T) {
	cases := goldenCases(t)
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		t.Run(name, func(t *testing.T) {
			im, seg := c.read(t)
			before := slices.Clone(im.Data)
			p, err := volume.Preprocess(im, seg, c.options(t))
			require.NoError(t, err)
			assert.Equal(t, before, im.Data, "the scan is not changed")

			var want struct {
				Before  [3]int    `json:"shape_before_cropping"`
				Box     [3][2]int `json:"bbox_used_for_cropping"`
				After   [3]int    `json:"shape_after_cropping_and_before_resampling"`
				Spacing [3]float64
			}
			readJSON(t, filepath.Join(c.dir, "properties_"+c.config+".json"), &want)
			assert.Equal(t, want.Before, p.BeforeCrop)
			assert.Equal(t, want.After, p.Cropped)
			assert.InDeltaSlice(t, want.Spacing[:], p.Original.Spacing[:], 1e-6)
			for a := range 3 {
				assert.Equal(t, want.Box[a], [2]int{p.Crop.Lo[a], p.Crop.Hi[a]}, "axis %d", a)
			}

			file := filepath.Join(c.dir, "preprocessed_"+c.config+".safetensors")
			data, shape := tensor(t, file, "data")
			require.Equal(t, shape, append([]int{im.C}, p.Shape[:]...))
			worst := largestDifference(channelsLast(data, im.C), p.Image.Data)
			tolerance := 1e-5 // the README's, for a case that is not resampled
			if c.resample {
				tolerance = 1e-4
			}
			assert.LessOrEqual(t, worst, tolerance)

			labels := integers(t, file, "seg")
			differ := 0
			for i, l := range labels {
				if uint8(l) != p.Labels.Data[i] { // −1 is Outside
					differ++
				}
			}
			t.Logf("image: largest difference %.2g; labels: %d of %d differ", worst, differ, len(labels))
			if c.resample {
				assert.LessOrEqual(t, float64(differ), 1e-4*float64(len(labels)))
			} else {
				assert.Zero(t, differ)
			}
		})
	}
}

func TestLogitsAreExportedAsNNUNetDoes(t *testing.T) {
	cases := goldenCases(t)
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		file := filepath.Join(c.dir, "export_"+c.config+".safetensors")
		if _, err := os.Stat(file); err != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			im, _ := c.read(t)
			p, err := volume.Preprocess(im, nil, c.options(t))
			require.NoError(t, err)
			require.Nil(t, p.Labels)
			data, shape := tensor(t, file, "logits")
			k := shape[0]
			require.Equal(t, p.Shape[:], shape[1:])
			logits := channelsLast(data, k)

			decide, softmaxed := volume.Decision(volume.Argmax), true
			if order := regionOrder(t, c); order != nil {
				decide, softmaxed = volume.Regions(order), false
			}
			labels, err := p.Export(logits, k, decide)
			require.NoError(t, err)
			var stated struct {
				Close int `json:"voxels_margin_below_1e-5"`
			}
			readJSON(t, filepath.Join(c.dir, "export_"+c.config+".json"), &stated)
			want, _, err := nifti.ReadLabels(filepath.Join(c.dir, "export_"+c.config+"_seg.nii.gz"))
			require.NoError(t, err)
			require.Equal(t, want.Shape, labels.Shape)
			differ := 0
			for i := range want.Data {
				if want.Data[i] != labels.Data[i] {
					differ++
				}
			}
			assert.LessOrEqual(t, float64(differ), float64(stated.Close)+1e-5*float64(len(want.Data)))

			t.Logf("labels: %d of %d differ (%d are close)", differ, len(want.Data), stated.Close)

			f, err := safetensors.Open(file)
			require.NoError(t, err)
			_, saved := f.Info("probabilities")
			require.NoError(t, f.Close())
			if !saved {
				return
			}
			resampled, err := p.ExportLogits(logits, k)
			require.NoError(t, err)
			probabilities(resampled.Data, k, softmaxed)
			got, err := p.UncropProbabilities(resampled.Data, k, softmaxed)
			require.NoError(t, err)
			stored, _ := tensor(t, file, "probabilities")
			worst := largestDifference(channelsLast(stored, k), got)
			t.Logf("probabilities: largest difference %.2g", worst)
			assert.LessOrEqual(t, worst, 1e-5)
		})
	}
}

// regionOrder is regions_class_order of the case's dataset, nil without regions.
func regionOrder(t *testing.T, c goldenCase) []uint8 {
	var set struct {
		Order []int `json:"regions_class_order"`
	}
	readJSON(t, filepath.Join(filepath.Dir(c.plans), "dataset.json"), &set)
	var order []uint8
	for _, l := range set.Order {
		order = append(order, uint8(l))
	}
	return order
}

// probabilities turns logits [V K] into the softmax, or the sigmoids.
func probabilities(x []float32, k int, softmax bool) {
	for v := 0; v < len(x); v += k {
		row, sum := x[v:v+k], 0.0
		for i, l := range row {
			e := math.Exp(float64(l))
			sum += e
			if !softmax {
				row[i] = float32(e / (1 + e))
			}
		}
		for i, l := range row {
			if softmax {
				row[i] = float32(math.Exp(float64(l)) / sum)
			}
		}
	}
}

func ExamplePreprocess() {
	im := volume.NewImage(volume.Grid{Shape: [3]int{4, 6, 6}, Spacing: [3]float64{2, 1, 1}}, 1)
	for i := range im.Data {
		im.Data[i] = float32(i % 7)
	}
	p, err := volume.Preprocess(im, nil, volume.PreprocessOptions{
		Axes: volume.SameAxes(), Spacing: [3]float64{1, 1, 1},
		Normalize: []volume.Normalization{{Scheme: volume.ZScore}}, OrderImage: volume.Cubic,
	})
	fmt.Println(p.Shape, err)
	// Output: [8 6 6] <nil>
}
