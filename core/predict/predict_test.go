package predict

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
)

var mm = [3]float64{1, 1, 1}

// fewPlanes is how many bytes let the smallest ring of a shape pass, and nothing
// that is larger.
func fewPlanes(t *testing.T, p *Predictor, im *volume.Image) int64 {
	t.Helper()
	pre, err := p.Preprocess(im)
	require.NoError(t, err)
	tiles, err := tilesOf(pre.Shape, p.config.Patch, p.inference.Step)
	require.NoError(t, err)
	rows, err := p.rows(len(tiles) * len(p.mirrors))
	require.NoError(t, err)
	l := layout{shape: shapeOf(pre.Placement), rows: rows}
	l.chunk = p.chunk(l.rows)
	l.planes = p.ring(l, tiles)
	require.Less(t, l.planes, pre.Shape[0], "the volume is deep enough for slabs")
	pr, err := p.compile(l, tiles)
	require.NoError(t, err)
	return pr.memory().Total()
}

func TestSlabsHaveTheBitsOfTheWhole(t *testing.T) {
	for _, c := range []struct {
		name    string
		model   tiny
		shape   [3]int
		spacing [3]float64
		o       Options
	}{
		{"3-D", tiny{dim: 3, spacing: mm}, [3]int{61, 17, 20}, mm, Options{}},
		{"no mirror", tiny{dim: 3, spacing: mm}, [3]int{61, 11, 12}, mm, Options{NoMirror: true, Rows: 4}},
		{"finer scan", tiny{dim: 3, spacing: mm}, [3]int{140, 17, 20}, [3]float64{0.43, 1, 0.9}, Options{NoMirror: true}},
		{"coarser scan", tiny{dim: 3, spacing: mm}, [3]int{40, 13, 20}, [3]float64{2.3, 1, 1}, Options{NoMirror: true}},
		{"thick slices", tiny{dim: 3, spacing: mm}, [3]int{25, 13, 20}, [3]float64{3.7, 1, 1}, Options{NoMirror: true}},
		{"2-D", tiny{dim: 2, spacing: [3]float64{0, 1.2, 1}}, [3]int{40, 17, 20}, mm, Options{}},
		{"2-D of one tile", tiny{dim: 2, spacing: [3]float64{0, 1, 1}}, [3]int{80, 7, 12}, mm, Options{NoMirror: true, Rows: 3}},
		{"three folds", tiny{dim: 3, spacing: mm, folds: 3}, [3]int{90, 9, 12}, mm, Options{}},
		{"channels, regions, half step", tiny{dim: 3, spacing: mm, channels: 2, labels: [][]int{{0}, {1, 2}, {2}}}, [3]int{50, 9, 13}, mm, Options{Step: 0.25, Mirror: &[3]bool{true, false, true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := c.model.model()
			c.o.Device = openCPU(t)
			im := noise(c.shape, c.spacing, max(c.model.channels, 1), 0)
			whole := newTest(t, m, c.o)
			want := segment(t, whole, im)
			require.Equal(t, want.Memory.Depth, want.Memory.Planes)
			c.o.MemoryBytes = fewPlanes(t, whole, im)

			slabs := newTest(t, m, c.o)
			for range 2 { // the second time in a used accumulator
				have := segment(t, slabs, im)
				require.Less(t, have.Memory.Planes, have.Memory.Depth)
				assert.Equal(t, want.Memory.Rows, have.Memory.Rows)
				assert.Equal(t, want.Labels.Data, have.Labels.Data)
				assert.Equal(t, want.Probabilities.Data, have.Probabilities.Data)
			}
			t.Logf("%d of %d planes", fewest(t, slabs, im), want.Memory.Depth)
			assert.Greater(t, len(distinct(want.Labels.Data)), 1, "there is something to see")
		})
	}
}

func fewest(t *testing.T, p *Predictor, im *volume.Image) int {
	m, err := p.Plan(im.Grid)
	require.NoError(t, err)
	return m.Planes
}

func distinct(labels []uint8) []uint8 {
	s := slices.Clone(labels)
	slices.Sort(s)
	return slices.Compact(s)
}

// The device's labels and the probabilities go two ways from the sums to the
// grid of the scan: an op, and core/volume.
func TestLabelsAreTheMostProbable(t *testing.T) {
	for _, c := range []struct {
		name    string
		labels  [][]int
		shape   [3]int
		spacing [3]float64
		border  int
	}{
		{"as it is", nil, [3]int{17, 18, 19}, mm, 0},
		{"cropped, resampled", nil, [3]int{23, 22, 21}, [3]float64{0.8, 1.3, 0.7}, 3},
		{"thick slices", nil, [3]int{9, 22, 21}, [3]float64{4, 1.3, 0.7}, 1},
		{"smaller than the patch", nil, [3]int{5, 3, 11}, mm, 0},
		{"regions", [][]int{{0}, {1, 2}, {2}}, [3]int{12, 22, 21}, [3]float64{0.8, 1.3, 0.7}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := tiny{dim: 3, spacing: mm, labels: c.labels}.model()
			p := newTest(t, m, Options{})
			r := segment(t, p, noise(c.shape, c.spacing, 1, c.border))
			k, odd := r.Probabilities.K, 0
			for v, label := range r.Labels.Data {
				row := r.Probabilities.Data[v*k : (v+1)*k]
				want := uint8(0)
				if m.Plan.HasRegions() {
					for i, x := range row {
						if x > 0.5 {
							want = uint8(m.Plan.RegionOrder[i])
						}
					}
				} else {
					for i, x := range row {
						if x > row[want] {
							want = uint8(i)
						}
					}
				}
				if label != want {
					odd++
				}
			}
			// Only where two are equal to the rounding of float32.
			assert.LessOrEqual(t, odd, len(r.Labels.Data)/2000)
		})
	}
}

func TestFoldsAreAveragedAsLogits(t *testing.T) {
	m := tiny{dim: 3, spacing: mm, folds: 2}.model()
	dev := openCPU(t)
	im := noise([3]int{11, 12, 13}, mm, 1, 0)
	logits := func(folds ...int) []float32 {
		one := *m
		one.Folds = nil
		for _, f := range folds {
			one.Folds = append(one.Folds, m.Folds[f])
		}
		p := newTest(t, &one, Options{Device: dev})
		pre, err := p.Preprocess(im)
		require.NoError(t, err)
		return p.testLogits(t, pre)
	}
	a, b, both := logits(0), logits(1), logits(0, 1)
	for i := range both {
		mean := (a[i] + b[i]) / 2
		// Sums of up to 2·8·8 tiles in float32.
		require.InDelta(t, mean, both[i], 128*0x1p-24*float64(10+abs(float64(a[i]))+abs(float64(b[i]))), "voxel %d", i)
	}
}

func TestMirroringAMirroredScanMirrorsTheResult(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	im := noise([3]int{8, 8, 12}, mm, 1, 0)
	want := segment(t, p, im)
	flipped := noise([3]int{8, 8, 12}, mm, 1, 0)
	n := len(im.Data)
	for i, x := range im.Data {
		flipped.Data[n-1-i] = x
	}
	have := segment(t, p, flipped)
	// One tile: the mean over all mirrors of a scan is that of its mirror image,
	// but for the order of the sums.
	for v := range n {
		for k := range 3 {
			require.InDelta(t, want.Probabilities.Data[v*3+k], have.Probabilities.Data[(n-1-v)*3+k], 1e-5)
		}
	}
}

func TestRowsDoNotChangeTheBits(t *testing.T) {
	m := tiny{dim: 3, spacing: mm}.model()
	im := noise([3]int{13, 14, 15}, mm, 1, 0)
	dev := openCPU(t)
	want := segment(t, newTest(t, m, Options{Device: dev, Rows: 1}), im)
	for _, rows := range []int{0, 3, 8, 100} {
		have := segment(t, newTest(t, m, Options{Device: dev, Rows: rows}), im)
		assert.Equal(t, want.Probabilities.Data, have.Probabilities.Data, "%d rows", rows)
	}
}

func TestHalfStorageIsClose(t *testing.T) {
	im := noise([3]int{13, 14, 15}, mm, 1, 0)
	dev := openCPU(t)
	if !dev.Limits().F16 {
		t.Skip("the device does not store f16")
	}
	m := tiny{dim: 3, spacing: mm}.model()
	want := segment(t, newTest(t, m, Options{Device: dev}), im)
	have := segment(t, newTest(t, m, Options{Device: dev, Storage: graph.F16}), im)
	_, differ := dice(want.Labels.Data, have.Labels.Data, 3)
	assert.Less(t, differ, len(want.Labels.Data)/50)
	assert.Less(t, have.Memory.Bytes[graph.Scratch], want.Memory.Bytes[graph.Scratch])
}

func TestShapesTakeTurns(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	var want []*Result
	for size := 9; size < 9+2*mostEngines; size++ {
		want = append(want, segment(t, p, noise([3]int{size, 9, 13}, mm, 1, 0)))
	}
	for i := len(want) - 1; i >= 0; i-- {
		have := segment(t, p, noise([3]int{9 + i, 9, 13}, mm, 1, 0))
		assert.Equal(t, want[i].Labels.Data, have.Labels.Data)
		assert.LessOrEqual(t, len(p.engines), mostEngines)
	}
}

func TestMemoryIsKnownBeforehand(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	im := noise([3]int{20, 9, 13}, [3]float64{1, 1.5, 1}, 1, 0)
	m, err := p.Plan(im.Grid)
	require.NoError(t, err)
	assert.Equal(t, m, segment(t, p, im).Memory)
	assert.Equal(t, int64(0), m.Total()%256)
	assert.Greater(t, m.Bytes[graph.Data], int64(4*20*14*13*(1+3+1)), "volume, sums and weights of the sums")
}

func TestWhatDoesNotFitIsAnErrorWithNumbers(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{MemoryBytes: 1 << 20})
	_, err := p.Image(t.Context(), noise([3]int{40, 90, 90}, mm, 1, 0), ImageOptions{})
	require.ErrorContains(t, err, "40×90×90 voxels needs 2 MiB on cpu")
	require.ErrorContains(t, err, "sums of 10 planes")
	require.ErrorContains(t, err, "allowed are 1 MiB")
}

// narrowDevice is a device with small limits.
type narrowDevice struct {
	backend.Device
	valueBytes int64 // what a kernel binds
	bufferMost int64 // bytes of a buffer beyond which there is no memory
}

func (d narrowDevice) Limits() backend.Limits {
	l := d.Device.Limits()
	l.ValueBytes = d.valueBytes
	return l
}

func (d narrowDevice) NewBuffer(n int64) (backend.Buffer, error) {
	if d.bufferMost > 0 && n > d.bufferMost {
		return nil, errors.New("out of memory")
	}
	return d.Device.NewBuffer(n)
}

func TestSmallDevicesGetSlabs(t *testing.T) {
	m := tiny{dim: 3, spacing: mm}.model()
	im := noise([3]int{60, 20, 20}, mm, 1, 0)
	dev := openCPU(t)
	want := segment(t, newTest(t, m, Options{Device: dev}), im)
	require.Equal(t, 60, want.Memory.Planes)
	for name, d := range map[string]narrowDevice{
		"a kernel binds little":   {dev, 200 << 10, 0},
		"memory is not there":     {dev, 0, 300 << 10},
		"for a volume and a ring": {dev, 90 << 10, 0},
	} {
		have := segment(t, newTest(t, m, Options{Device: d}), im)
		assert.Less(t, have.Memory.Planes, 60, name)
		assert.Equal(t, want.Labels.Data, have.Labels.Data, name)
	}
	_, err := newTest(t, m, Options{Device: narrowDevice{dev, 0, 60 << 10}}).Image(t.Context(), im, ImageOptions{})
	require.ErrorContains(t, err, "out of memory")
}

func TestProgressEndsAtTheTotal(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm, folds: 2}.model(), Options{})
	var last Progress
	_, err := p.Image(t.Context(), noise([3]int{20, 9, 13}, mm, 1, 0), ImageOptions{Progress: func(now Progress) {
		assert.Greater(t, now.Done, last.Done)
		last = now
	}})
	require.NoError(t, err)
	assert.Equal(t, Progress{Done: 4 * 2 * 2 * 8 * 2, Total: 4 * 2 * 2 * 8 * 2}, last)
}

func TestCancelStopsBetweenRuns(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{Rows: 1})
	ctx, cancel := context.WithCancel(t.Context())
	im := noise([3]int{20, 9, 13}, mm, 1, 0)
	_, err := p.Image(ctx, im, ImageOptions{Progress: func(Progress) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "predict: tile 1/")

	again := segment(t, p, im)
	fresh := segment(t, newTest(t, p.Model, Options{Rows: 1}), im)
	assert.Equal(t, fresh.Labels.Data, again.Labels.Data, "what was left does not count")
}

func TestBadScansAreErrors(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	_, err := p.Image(t.Context(), noise([3]int{9, 9, 9}, mm, 2, 0), ImageOptions{})
	require.ErrorContains(t, err, "2 channels")

	_, err = p.Case(t.Context(), &volume.Preprocessed{Image: &volume.Image{C: 1}, Placement: volume.Placement{Shape: [3]int{4, 4, 4}}}, ImageOptions{})
	require.ErrorContains(t, err, "the preprocessed image has 0 values")

	im := noise([3]int{9, 9, 9}, mm, 1, 0)
	im.Data[5] = float32(math.NaN())
	_, err = p.Image(t.Context(), im, ImageOptions{})
	var notFinite *volume.NotFiniteError
	require.ErrorAs(t, err, &notFinite)
}

func TestModelsThatCannotBePredictedAreErrors(t *testing.T) {
	dev := openCPU(t)
	for want, change := range map[string]func(c *plan.Configuration, o *Options){
		"logits order 3 and": func(c *plan.Configuration, _ *Options) { c.Resampling.LogitOrder = 3 },
		"images order_z 3, ": func(c *plan.Configuration, _ *Options) { c.Resampling.ImageOrderZ = 3 },
		"labels order 3 and": func(c *plan.Configuration, _ *Options) { c.Resampling.LabelOrder = 3 },
		"separate_z never; ": func(c *plan.Configuration, _ *Options) { c.Resampling.SeparateZ = plan.SeparateNever },
		"step 2":             func(_ *plan.Configuration, o *Options) { o.Step = 2 },
		"-1 rows":            func(_ *plan.Configuration, o *Options) { o.Rows = -1 },
		"does not store f16": func(_ *plan.Configuration, o *Options) { o.Storage, o.Device = graph.F16, noHalf{dev} },
	} {
		m := tiny{dim: 3, spacing: mm}.model()
		o := Options{Device: dev}
		change(&m.Plan.Configurations[0], &o)
		_, err := New(m, o)
		assert.ErrorContains(t, err, want)
	}
	m := tiny{dim: 3, spacing: mm}.model()
	m.Folds[0].Weights["encoder.stages.0.0.convs.0.conv.weight"] = m.Folds[0].Weights["encoder.stages.1.0.convs.0.conv.weight"]
	_, err := New(m, Options{Device: dev})
	assert.ErrorContains(t, err, "encoder.stages.0.0.convs.0.conv.weight has shape")
	m = tiny{dim: 3, spacing: mm}.model()
	m.Folds[0].Weights["encoder.stages.0.0.convs.0.conv.weight"].Data[1] = float32(math.NaN())
	_, err = New(m, Options{Device: dev})
	assert.ErrorContains(t, err, "encoder.stages.0.0.convs.0.conv.weight: 1 of ")
}

// noHalf is a device that stores f32 only.
type noHalf struct{ backend.Device }

func (d noHalf) Limits() backend.Limits {
	l := d.Device.Limits()
	l.F16, l.BF16 = false, false
	return l
}
