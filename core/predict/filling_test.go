package predict

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
)

// facts are a device of which only the limits are asked.
type facts struct {
	backend.Device
	limits backend.Limits
}

func (facts) Name() string             { return "facts" }
func (f facts) Limits() backend.Limits { return f.limits }

// gpu is one of so many bytes and multiprocessors.
func gpu(bytes int64, units int) facts {
	return facts{limits: backend.Limits{TotalBytes: bytes, Units: units, F16: true, BF16: true, World: 1}}
}

// large is nnU-Net's network of six stages for so many channels, classes and patch, as a
// predictor that plans but does not run.
func large(dev backend.Device, channels, classes int, patch [3]int) *Predictor {
	p := &plan.Plan{Ignore: -1, Transpose: [3]int{0, 1, 2}, TransposeBack: [3]int{0, 1, 2}, Recipe: plan.NNUNet(3)}
	p.Channels = make([]plan.Channel, channels)
	for k := range classes {
		p.Labels = append(p.Labels, plan.Label{Values: []int{k}})
	}
	c := plan.Configuration{Name: "3d_fullres", Dim: 3, Patch: patch, Batch: 2, Spacing: [3]float64{1, 1, 1}, Resampling: plan.DefaultResampling()}
	c.Network = plan.Network{
		Kind: plan.Plain, Features: []int{32, 64, 128, 256, 320, 320}, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
		Convs: []int{2, 2, 2, 2, 2, 2}, DecoderConvs: []int{2, 2, 2, 2, 2},
	}
	for s := range 6 {
		k := min(2, s+1)
		c.Network.Kernels, c.Network.Strides = append(c.Network.Kernels, [3]int{3, 3, 3}), append(c.Network.Strides, [3]int{k, k, k})
	}
	p.Configurations = []plan.Configuration{c}
	return &Predictor{
		Model: &checkpoint.Model{Plan: p, Folds: make([]checkpoint.Fold, 1)}, o: Options{Device: dev, Storage: graph.F16},
		plan: p, config: &p.Configurations[0], inference: p.Recipe.For(&c).Inference, mirrors: mirrorsOf([3]bool{true, true, true}),
		preprocess: volume.PreprocessOptions{Axes: [3]int{0, 1, 2}, Spacing: c.Spacing},
	}
}

func millimetres(d, h, w int) volume.Grid {
	return volume.Grid{Shape: [3]int{d, h, w}, Spacing: [3]float64{1, 1, 1}}
}

const gib = 1 << 30

// A device that is filled by one row gets one, one of many units more, and never so many
// that its memory is too small for them.
func TestRowsFillTheDevice(t *testing.T) {
	brats := millimetres(155, 240, 240)
	for _, c := range []struct {
		name  string
		dev   facts
		patch [3]int
		rows  int
	}{
		{"an H200", gpu(140*gib, 132), [3]int{128, 128, 128}, 2},
		{"an H200, a small patch", gpu(140*gib, 132), [3]int{64, 64, 64}, 16},
		{"a GPU of 16 units", gpu(24*gib, 16), [3]int{128, 128, 128}, 1},
		{"an H200 of which there is little", gpu(gib, 132), [3]int{128, 128, 128}, 1},
		{"a CPU", gpu(140*gib, 0), [3]int{128, 128, 128}, 1},
	} {
		p := large(c.dev, 4, 4, c.patch)
		m, err := p.Plan(brats)
		require.NoError(t, err, c.name)
		t.Logf("%s: %d rows, %d MiB", c.name, m.Rows, m.Total()>>20)
		assert.Equal(t, c.rows, m.Rows, c.name)
		assert.LessOrEqual(t, m.Total(), c.dev.limits.TotalBytes, c.name)
	}
}

// What a prediction takes is known before it begins: of the largest scans as well, in
// slabs where the sums of a hundred classes are larger than the device.
func TestLargeVolumesFitTheStatedMemory(t *testing.T) {
	patch := [3]int{128, 128, 128}
	for _, c := range []struct {
		name              string
		dev               facts
		grid              volume.Grid
		channels, classes int
		slabs             bool
	}{
		{"a brain, 4 GiB", gpu(4*gib, 40), millimetres(155, 240, 240), 4, 4, false},
		{"a body of 100 classes, 140 GiB", gpu(140*gib, 132), millimetres(600, 512, 512), 1, 100, false},
		{"a body of 100 classes, 48 GiB", gpu(48*gib, 132), millimetres(600, 512, 512), 1, 100, true},
		{"a body of 100 classes, 24 GiB", gpu(24*gib, 82), millimetres(600, 512, 512), 1, 100, true},
	} {
		m, err := large(c.dev, c.channels, c.classes, patch).Plan(c.grid)
		require.NoError(t, err, c.name)
		t.Logf("%s: %d of %d planes, %d rows, data %d MiB, scratch %d MiB, all %d MiB, host %d MiB", c.name, m.Planes, m.Depth, m.Rows,
			m.Bytes[graph.Data]>>20, m.Bytes[graph.Scratch]>>20, m.Total()>>20, m.Host>>20)
		assert.Equal(t, c.slabs, m.Planes < m.Depth, c.name)
		assert.LessOrEqual(t, m.Total(), c.dev.limits.TotalBytes, c.name)
		plane := 4 * int64(c.grid.Shape[1]*c.grid.Shape[2])
		assert.GreaterOrEqual(t, m.Bytes[graph.Data], int64(m.Planes)*plane*int64(c.channels+c.classes+1), "volume, sums and their weights")
	}
	_, err := large(gpu(12*gib, 28), 1, 100, patch).Plan(millimetres(600, 512, 512))
	var small *MemoryError
	require.ErrorAs(t, err, &small)
	assert.EqualValues(t, 12*gib, small.Have)
	assert.Greater(t, small.Need, small.Have)
	assert.ErrorContains(t, err, "a volume of 600×512×512 voxels needs")
}

// A header of some bytes may say any spacing: what it asks for is refused before it is
// taken.
func TestAScanThatBecomesTooLargeIsRefusedBeforeItIsTiled(t *testing.T) {
	p := large(gpu(4*gib, 40), 1, 2, [3]int{128, 128, 128})
	for _, mm := range []float64{1e3, 1e5, 1e6, 1e7, 1e20, 1e300} {
		g := millimetres(8, 8, 8)
		g.Spacing = [3]float64{mm, mm, mm}
		_, err := p.Plan(g)
		assert.ErrorContains(t, err, "wanted less than 2³¹ voxels", "%g mm", mm)
	}
	p.inference.Step = 1e-9
	_, err := p.Plan(millimetres(155, 240, 240))
	assert.ErrorContains(t, err, "choose a larger step")
}
