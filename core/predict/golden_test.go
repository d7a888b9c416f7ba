package predict

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/safetensors"
)

// golden is the folder of expected values, which other programs made.
func golden(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: it names the folder with golden/")
	}
	return filepath.Join(dir, "golden")
}

// long says whether a test may take minutes.
func long() bool { return os.Getenv("GOUNET_LONG") != "" }

func openCPU(t testing.TB) backend.Device {
	t.Helper()
	d := cpu.Open(cpu.Options{})
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// small opens nnU-Net's small model of a configuration.
func small(t testing.TB, configuration string) *checkpoint.Model {
	t.Helper()
	m, err := checkpoint.Open(filepath.Join(golden(t), "nnunetv2_results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlansF8__"+configuration))
	require.NoError(t, err)
	return m
}

func newTest(t testing.TB, m *checkpoint.Model, o Options) *Predictor {
	t.Helper()
	if o.Device == nil {
		o.Device = openCPU(t)
	}
	p, err := New(m, o)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func read(t testing.TB, path string) *volume.Image {
	t.Helper()
	im, _, err := nifti.ReadImage(path)
	require.NoError(t, err)
	return im
}

// dice of each label from 1 on, and the number of voxels that differ.
func dice(a, b []uint8, classes int) (scores []float64, differ int) {
	for c := 1; c < classes; c++ {
		both, sum := 0, 0
		for i := range a {
			x, y := a[i] == uint8(c), b[i] == uint8(c)
			if x && y {
				both++
			}
			if x {
				sum++
			}
			if y {
				sum++
			}
		}
		scores = append(scores, 2*float64(both)/max(float64(sum), 1))
	}
	for i := range a {
		if a[i] != b[i] {
			differ++
		}
	}
	return scores, differ
}

func TestDiceCountsWhatItSays(t *testing.T) {
	s, n := dice([]uint8{0, 1, 1, 2}, []uint8{0, 1, 2, 2}, 3)
	assert.Equal(t, []float64{2. / 3, 2. / 3}, s)
	assert.Equal(t, 1, n)
}

// Dice ≥ 0.999: the original accumulates in half precision, so that single
// voxels at the border of two labels differ.
func checkLabels(t *testing.T, p *Predictor, folder, name string) {
	im := read(t, filepath.Join(golden(t), "predict/inputs", name+"_0000.nii.gz"))
	want, _, err := nifti.ReadLabels(filepath.Join(golden(t), "predict", folder, name+".nii.gz"))
	require.NoError(t, err)
	r, err := p.Image(t.Context(), im, ImageOptions{})
	require.NoError(t, err)
	require.Equal(t, want.Shape, r.Labels.Shape)
	scores, differ := dice(want.Data, r.Labels.Data, 3)
	t.Logf("%s %s: %d of %d voxels differ, Dice %.5f", folder, name, differ, len(want.Data), scores)
	for _, s := range scores {
		assert.GreaterOrEqual(t, s, 0.999)
	}
}

func TestLabelsAreThoseOfNNUNet(t *testing.T) {
	for _, c := range []struct {
		configuration, folder string
		mirror                bool
		names                 []string // with make test-long all
	}{
		{"3d_fullres", "small3d_tta", true, []string{"hippocampus_017"}},
		{"3d_fullres", "small3d_no_tta", false, []string{"hippocampus_033", "mosaic121_s", "thick_s"}},
		{"2d", "small2d_tta", true, []string{"thick_s"}},
		{"2d", "small2d_no_tta", false, []string{"hippocampus_035"}},
	} {
		t.Run(c.folder, func(t *testing.T) {
			p := newTest(t, small(t, c.configuration), Options{NoMirror: !c.mirror})
			names := c.names
			if long() {
				names = allNames(t)
			}
			for _, name := range names {
				checkLabels(t, p, c.folder, name)
			}
		})
	}
}

func allNames(t *testing.T) (names []string) {
	cases, err := dataset.Scan(filepath.Join(golden(t), "predict/inputs"), ".nii.gz", 1)
	require.NoError(t, err)
	require.Len(t, cases, 9)
	for _, k := range cases {
		names = append(names, k.ID)
	}
	return names
}

func TestEnsemblesAreThoseOfNNUNet(t *testing.T) {
	names := []string{"hippocampus_017"}
	if long() {
		names = allNames(t)
	}
	flat, deep := newTest(t, small(t, "2d"), Options{}), newTest(t, small(t, "3d_fullres"), Options{})
	for _, name := range names {
		im := read(t, filepath.Join(golden(t), "predict/inputs", name+"_0000.nii.gz"))
		both, err := Ensemble(segment(t, flat, im).Probabilities, segment(t, deep, im).Probabilities)
		require.NoError(t, err)
		want, _, err := nifti.ReadLabels(filepath.Join(golden(t), "predict/ensemble_small3d_small2d", name+".nii.gz"))
		require.NoError(t, err)
		scores, differ := dice(want.Data, both.Labels(im.Grid, nil).Data, 3)
		t.Logf("%s: %d of %d voxels differ, Dice %.5f", name, differ, len(want.Data), scores)
		for _, s := range scores {
			assert.GreaterOrEqual(t, s, 0.999)
		}
	}
}

// asCZYX brings [D H W K] into torch's order.
func asCZYX(data []float32, k int) []float32 {
	n := len(data) / k
	out := make([]float32, len(data))
	for v := range n {
		for c := range k {
			out[c*n+v] = data[v*k+c]
		}
	}
	return out
}

// furthest is the largest distance, and the largest value of want.
func furthest(t *testing.T, have, want []float32) (far, most float64) {
	t.Helper()
	require.Len(t, have, len(want))
	for i, x := range want {
		far = max(far, abs(float64(have[i])-float64(x)))
		most = max(most, abs(float64(x)))
	}
	return far, most
}

func abs(x float64) float64 { return max(x, -x) }

// logits are those of a preprocessed case, [K D H W].
func (p *Predictor) testLogits(t *testing.T, pre *volume.Preprocessed) []float32 {
	t.Helper()
	e, err := p.engine(pre.Placement)
	require.NoError(t, err)
	s := newSweep(p, e, pre, ImageOptions{Probabilities: true})
	require.NoError(t, s.run(t.Context()))
	return asCZYX(s.logits, p.plan.Classes())
}

// 1e-4 of the largest logit is what golden/README.md derives for float32.
func TestLogitsAreThoseOfNNUNetInFloat32(t *testing.T) {
	for _, c := range []struct {
		name, tensor string
		mirror, long bool
	}{
		{"hippocampus_017", "logits_no_tta_float32_accumulation", false, false},
		{"hippocampus_017", "logits_tta_float32_accumulation", true, false},
		{"mosaic121_s", "logits_no_tta_float32_accumulation", false, false},
	} {
		t.Run(c.name+"/"+c.tensor, func(t *testing.T) {
			f, err := safetensors.Open(filepath.Join(golden(t), "predict/logits", c.name+".safetensors"))
			require.NoError(t, err)
			defer f.Close()
			want, _, err := f.Float32s(c.tensor)
			require.NoError(t, err)
			input, _, err := f.Float32s("preprocessed")
			require.NoError(t, err)

			p := newTest(t, small(t, "3d_fullres"), Options{NoMirror: !c.mirror})
			pre, err := p.Preprocess(read(t, filepath.Join(golden(t), "predict/inputs", c.name+"_0000.nii.gz")))
			require.NoError(t, err)
			far, _ := furthest(t, pre.Image.Data, input)
			require.LessOrEqual(t, far, 1e-4, "preprocessed")
			far, most := furthest(t, p.testLogits(t, pre), want)
			t.Logf("off by at most %.2g of %.4g", far, most)
			assert.LessOrEqual(t, far, 1e-4*most)
		})
	}
}

// TestAPatchHasTheLogitsOfPyTorch runs the network alone: on the random patch that
// PyTorch's ONNX file was tried with.
func TestAPatchHasTheLogitsOfPyTorch(t *testing.T) {
	f, err := safetensors.Open(filepath.Join(golden(t), "onnx", "small3d_io.safetensors"))
	require.NoError(t, err)
	defer f.Close()
	input, _, err := f.Float32s("input")
	require.NoError(t, err)
	want, _, err := f.Float32s("logits_torch")
	require.NoError(t, err)
	p := newTest(t, small(t, "3d_fullres"), Options{NoMirror: true})
	patch, mm := p.config.Patch, [3]float64{1, 1, 1}
	g := volume.Grid{Shape: patch, Spacing: mm}
	far, most := furthest(t, p.testLogits(t, &volume.Preprocessed{
		Image: &volume.Image{Grid: g, C: 1, Data: input},
		Placement: volume.Placement{
			Original: g, Axes: volume.SameAxes(), BeforeCrop: patch, Crop: volume.Box{Hi: patch}, Cropped: patch,
			CropSpacing: mm, Shape: patch, Spacing: mm,
		},
	}), want)
	t.Logf("off by at most %.2g of %.4g", far, most)
	assert.LessOrEqual(t, far, 1e-4*most)
}

func TestProbabilitiesAreThoseOfNNUNet(t *testing.T) {
	f, err := safetensors.Open(filepath.Join(golden(t), "predict/probabilities/hippocampus_017_small3d_tta.safetensors"))
	require.NoError(t, err)
	defer f.Close()
	want, _, err := f.Float32s("probabilities")
	require.NoError(t, err)
	p := newTest(t, small(t, "3d_fullres"), Options{})
	r, err := p.Image(t.Context(), read(t, filepath.Join(golden(t), "predict/inputs/hippocampus_017_0000.nii.gz")), ImageOptions{Probabilities: true})
	require.NoError(t, err)
	have := asCZYX(r.Probabilities.Data, r.Probabilities.K)
	// The original's logits are off by up to 0.06 (logits.json), and the softmax
	// moves by at most a quarter of that a logit, two logits in opposite ways.
	far, _ := furthest(t, have, want)
	t.Logf("off by at most %.2g", far)
	assert.LessOrEqual(t, far, 0.03)
	for i := range r.Labels.Data {
		n := len(r.Labels.Data)
		best := 0
		for c := range 3 {
			if have[c*n+i] > have[best*n+i] {
				best = c
			}
		}
		if int(r.Labels.Data[i]) != best {
			l := have[int(r.Labels.Data[i])*n+i]
			require.InDelta(t, have[best*n+i], l, 1e-6, "the label is the most probable one")
		}
	}
}

func TestCornersAreThoseOfNNUNet(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(golden(t), "sliding_window/steps.json"))
	require.NoError(t, err)
	var file struct {
		Cases []struct {
			Image, Tile []int
			Step        float64 `json:"step_size"`
			Steps       [][]int
		}
	}
	require.NoError(t, json.Unmarshal(b, &file))
	require.NotEmpty(t, file.Cases)
	for _, c := range file.Cases {
		for a := range c.Image {
			assert.Equal(t, c.Steps[a], Corners(c.Image[a], c.Tile[a], c.Step), "%v %v %v", c.Image, c.Tile, c.Step)
		}
	}
}

func TestGaussianIsThatOfNNUNet(t *testing.T) {
	f, err := safetensors.Open(filepath.Join(golden(t), "sliding_window/gaussian.safetensors"))
	require.NoError(t, err)
	defer f.Close()
	o := plan.Inference{Blend: plan.BlendGaussian, Sigma: 0.125}
	for _, c := range []struct {
		name  string
		patch [3]int
	}{{"nnunet_fp32_16x24x10", [3]int{16, 24, 10}}, {"nnunet_fp32_64x48", [3]int{1, 64, 48}}, {"nnunet_fp32_7x33", [3]int{1, 7, 33}}} {
		want, _, err := f.Float32s(c.name)
		require.NoError(t, err)
		have := Weights(c.patch, o)
		require.Len(t, have, len(want))
		for i := range want {
			// Rounded once from float64, which the exponential may leave off by a bit.
			require.InEpsilon(t, want[i], have[i], 0x1p-23, "%s at %d", c.name, i)
		}
	}
	want, _, err := f.Float32s("nnunet_fp32_40x56x40_centre_lines")
	require.NoError(t, err)
	w := Weights([3]int{40, 56, 40}, o)
	at := func(d, h, x int) float32 { return w[(d*56+h)*40+x] }
	for i := range 40 {
		assert.InEpsilon(t, want[i], at(i, 28, 20), 0x1p-23)
		assert.InEpsilon(t, want[96+i], at(20, 28, i), 0x1p-23)
	}
	for i := range 56 {
		assert.InEpsilon(t, want[40+i], at(20, i, 20), 0x1p-23)
	}
}
