package predict

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/volume"
)

// manyUnits is a device that is filled by many tiles, and whose programs do what fail says
// before they run.
type manyUnits struct {
	backend.Device
	fail func() error
}

type failing struct {
	backend.Executable
	fail func() error
}

func (d manyUnits) Limits() backend.Limits {
	l := d.Device.Limits()
	l.Units = 132
	return l
}

func (d manyUnits) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	e, err := d.Device.Compile(p, bind)
	if err != nil || d.fail == nil {
		return e, err
	}
	return failing{e, d.fail}, nil
}

func (e failing) Run(ctx context.Context) error {
	if err := e.fail(); err != nil {
		return err
	}
	return e.Executable.Run(ctx)
}

// smallScans are of a tile each with voxels of 1 mm, of several shapes, one of them twice.
func smallScans(t *testing.T, p *Predictor, channels int, spacings ...[3]float64) (all []*volume.Preprocessed) {
	t.Helper()
	for i, spacing := range spacings {
		for _, shape := range [][3]int{{8, 8, 12}, {5, 7, 11}, {3, 8, 4}, {5, 7, 11}} {
			for a := range shape {
				shape[a] = max(1, int(float64(shape[a])/spacing[a]))
			}
			im := noise(shape, spacing, channels, i%2)
			for v := range im.Data { // no two are the same
				im.Data[v] *= float32(1 + v*(2*len(all)+3)%5)
			}
			pre, err := p.Preprocess(im)
			require.NoError(t, err)
			require.True(t, Small(p.config, pre.Placement), "%v %v", shape, pre.Shape)
			all = append(all, pre)
		}
	}
	return all
}

func batchOf(t *testing.T, list []*volume.Preprocessed) (cases []BatchCase) {
	for _, pre := range list {
		cases = append(cases, BatchCase{Context: t.Context(), Case: pre})
	}
	return cases
}

func TestCasesTogetherHaveTheBitsOfEachAlone(t *testing.T) {
	for _, c := range []struct {
		name     string
		model    tiny
		o        Options
		spacings [][3]float64
	}{
		{"3-D", tiny{dim: 3, spacing: mm}, Options{}, [][3]float64{mm, mm}},
		{"no mirror", tiny{dim: 3, spacing: mm}, Options{NoMirror: true}, [][3]float64{mm}},
		{"resampled", tiny{dim: 3, spacing: mm}, Options{}, [][3]float64{{0.8, 1.3, 0.7}, mm, {1.4, 0.6, 1.2}, {3.7, 1, 1}}},
		{"three folds", tiny{dim: 3, spacing: mm, folds: 3}, Options{Rows: 3}, [][3]float64{{1, 0.7, 1.1}, mm}},
		{"channels, regions, two mirrors", tiny{dim: 3, spacing: mm, channels: 2, labels: [][]int{{0}, {1, 2}, {2}}}, Options{Mirror: &[3]bool{true, false, true}}, [][3]float64{mm, {2, 1, 0.9}}},
		{"half storage", tiny{dim: 3, spacing: mm}, Options{Storage: graph.F16}, [][3]float64{mm, {0.8, 1.3, 0.7}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Device = openCPU(t)
			if c.o.Storage == graph.F16 && !c.o.Device.Limits().F16 {
				t.Skip("the device does not store f16")
			}
			p := newTest(t, c.model.model(), c.o)
			list := smallScans(t, p, max(c.model.channels, 1), c.spacings...)
			var want []*Result
			seen := map[uint8]bool{}
			for _, pre := range list {
				r, err := p.Case(t.Context(), pre, ImageOptions{})
				require.NoError(t, err)
				want = append(want, r)
				for _, l := range distinct(r.Labels.Data) {
					seen[l] = true
				}
			}
			assert.Greater(t, len(seen), 1, "there is something to see")
			for _, n := range []int{len(list), 2, 2, 1, len(list)} { // in a new canvas, in a used one, in one of another size
				for from := 0; from+n <= len(list); from += n {
					have, err := p.Batch(t.Context(), batchOf(t, list[from:from+n]))
					require.NoError(t, err)
					for i, r := range have {
						require.Equal(t, want[from+i].Labels, r.Labels, "case %d of %d together", from+i, n)
					}
				}
				alone, err := p.Case(t.Context(), list[0], ImageOptions{})
				require.NoError(t, err)
				assert.Equal(t, want[0].Labels, alone.Labels)
			}
		})
	}
}

// One that is cancelled has no result, and changes nothing for the others.
func TestACaseOfABatchEndsAlone(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm, folds: 2}.model(), Options{})
	list := smallScans(t, p, 1, mm)
	want, err := p.Batch(t.Context(), batchOf(t, list))
	require.NoError(t, err)
	for when := range 2 { // before it begins, between two folds
		cases := batchOf(t, list)
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		cases[1].Context = ctx
		told := make([]Progress, len(cases))
		for i := range cases {
			cases[i].Progress = func(now Progress) {
				assert.Greater(t, now.Done, told[i].Done)
				if told[i] = now; when == 1 && i == 0 {
					cancel()
				}
			}
		}
		if when == 0 {
			cancel()
		}
		have, err := p.Batch(t.Context(), cases)
		require.NoError(t, err)
		for i, r := range have {
			if i == 1 {
				assert.Nil(t, r)
				assert.Zero(t, told[i])
				continue
			}
			assert.Equal(t, want[i].Labels, r.Labels)
			assert.Equal(t, Progress{Done: 16, Total: 16}, told[i])
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = p.Batch(ctx, batchOf(t, list))
	require.ErrorIs(t, err, context.Canceled)
}

// A run that fails fails all, and the sums that it leaves do not count.
func TestABatchThatFailedLeavesNothing(t *testing.T) {
	broken := errors.New("broken")
	runs, bad := 0, 3
	dev := manyUnits{openCPU(t), func() error {
		if runs++; runs == bad {
			return broken
		}
		return nil
	}}
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{Device: dev})
	list := smallScans(t, p, 1, mm)
	_, err := p.Batch(t.Context(), batchOf(t, list))
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "predict: 4 cases together: ")
	have, err := p.Batch(t.Context(), batchOf(t, list))
	require.NoError(t, err)
	assert.Equal(t, bad+1+len(list), runs, "one run of the network for all")
	for i, pre := range list {
		alone, err := p.Case(t.Context(), pre, ImageOptions{})
		require.NoError(t, err)
		assert.Equal(t, alone.Labels, have[i].Labels)
	}
}

// kept are the bytes beside the weights that a predictor keeps on the device.
func kept(p *Predictor) (n int64) {
	if p.canvas != nil {
		n = ownBytes(p.canvas.total())
	}
	for _, e := range p.engines {
		n += ownBytes(e.memory().Bytes)
	}
	return n
}

func TestMemoryOfABatchIsKnownBeforehand(t *testing.T) {
	dev := openCPU(t)
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{Device: dev})
	list := smallScans(t, p, 1, mm, [3]float64{0.8, 1.3, 0.7})
	var places []volume.Placement
	for _, pre := range list {
		places = append(places, pre.Placement)
	}
	all, err := p.PlanBatch(places)
	require.NoError(t, err)
	m := all[0]
	have, err := p.Batch(t.Context(), batchOf(t, list))
	require.NoError(t, err)
	for i, r := range have {
		assert.Equal(t, m.Bytes, r.Memory.Bytes)
		assert.Equal(t, all[i], r.Memory)
		assert.Equal(t, len(list)*8, r.Memory.Rows)
		assert.Equal(t, list[i].Shape[0], r.Memory.Depth)
		assert.Positive(t, r.Memory.Host)
	}

	small := newTest(t, p.Model, Options{Device: dev, MemoryBytes: m.Total() - 1})
	_, err = small.PlanBatch(places)
	var e *MemoryError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, m.Total(), e.Need)
	assert.Equal(t, m.Total()-1, e.Have)
	_, err = small.PlanBatch(places[:2])
	require.NoError(t, err)
	_, err = small.Batch(t.Context(), batchOf(t, list))
	require.ErrorContains(t, err, "segment fewer together")

	// What is kept ready for scans alone and together stays in its share.
	for _, most := range []int64{m.Total(), 20 * m.Total()} {
		p := newTest(t, p.Model, Options{Device: dev, MemoryBytes: most})
		for i, pre := range list {
			_, err := p.Case(t.Context(), pre, ImageOptions{})
			require.NoError(t, err)
			assert.True(t, p.canvas == nil || len(p.engines) == 0 || kept(p) <= most/engineShare, "%d of %d", kept(p), most)
			_, err = p.Batch(t.Context(), batchOf(t, list[:1+i%4]))
			require.NoError(t, err)
			assert.True(t, len(p.engines) == 0 || kept(p) <= most/engineShare, "%d of %d", kept(p), most)
		}
	}
}

func TestOnlySmallCasesGoTogether(t *testing.T) {
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{})
	list := smallScans(t, p, 1, mm)
	for a := range 3 {
		shape := [3]int{8, 8, 12}
		shape[a]++
		pre, err := p.Preprocess(noise(shape, mm, 1, 0))
		require.NoError(t, err)
		assert.False(t, Small(p.config, pre.Placement))
		list[1] = pre
		_, err = p.Batch(t.Context(), batchOf(t, list))
		require.ErrorContains(t, err, "case 2 of")
	}
	at := list[0].Placement
	at.Cropped = [3]int{512, 512, 64}
	assert.False(t, Small(p.config, at), "its labels are made in two runs")
	_, err := p.Batch(t.Context(), []BatchCase{{t.Context(), &volume.Preprocessed{Image: &volume.Image{C: 2}, Placement: list[0].Placement}, nil}})
	require.ErrorContains(t, err, "2 channels")
	_, err = p.Batch(t.Context(), nil)
	require.ErrorContains(t, err, "no cases")
}

// As many go together as fill the device, none where it has few units.
func TestTogetherFillsTheDevice(t *testing.T) {
	m := tiny{dim: 3, spacing: mm}.model()
	dev := openCPU(t)
	for _, c := range []struct {
		name string
		o    Options
		want int
	}{
		{"a CPU", Options{Device: dev}, 1},
		{"eight mirrors", Options{Device: manyUnits{dev, nil}}, mostRows / 8},
		{"no mirrors", Options{Device: manyUnits{dev, nil}, NoMirror: true}, mostRows},
		{"fewer rows than mirrors", Options{Device: manyUnits{dev, nil}, Rows: 2}, 1},
	} {
		assert.Equal(t, c.want, newTest(t, m, c.o).Together(), c.name)
	}
}
