package predict

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/volume"
)

// unseen is a label that no model makes.
const unseen = 255

// shown lays partial labels over each other.
type shown struct {
	labels *volume.Labels
	times  int
}

func newShown(g volume.Grid) *shown {
	s := &shown{labels: volume.NewLabels(g)}
	for i := range s.labels.Data {
		s.labels.Data[i] = unseen
	}
	return s
}

func (s *shown) lay(p Partial) {
	s.times++
	i := 0
	for d := p.Box.Lo[0]; d < p.Box.Hi[0]; d++ {
		for h := p.Box.Lo[1]; h < p.Box.Hi[1]; h++ {
			for w := p.Box.Lo[2]; w < p.Box.Hi[2]; w++ {
				s.labels.Data[(d*s.labels.Shape[1]+h)*s.labels.Shape[2]+w] = p.Labels[i]
				i++
			}
		}
	}
}

// What is told of after each run adds up to the labels, which stay as they are.
func TestPartialLabelsBecomeTheLabels(t *testing.T) {
	for _, c := range []struct {
		name      string
		model     tiny
		transpose [3]int
		shape     [3]int
		border    int
		slabs     bool
		o         Options
	}{
		{name: "whole", model: tiny{dim: 3, spacing: mm}, shape: [3]int{13, 17, 20}, o: Options{Rows: 1}},
		{name: "mirrors, several rows", model: tiny{dim: 3, spacing: mm}, shape: [3]int{13, 17, 20}, o: Options{}},
		{name: "slabs, cropped", model: tiny{dim: 3, spacing: mm}, shape: [3]int{61, 17, 20}, border: 2, slabs: true, o: Options{NoMirror: true, Rows: 2}},
		{name: "slabs, three folds", model: tiny{dim: 3, spacing: mm, folds: 3}, shape: [3]int{90, 9, 12}, slabs: true, o: Options{NoMirror: true}},
		{name: "other axes, cropped", model: tiny{dim: 3, spacing: mm}, transpose: [3]int{2, 0, 1}, shape: [3]int{13, 17, 20}, border: 1, o: Options{NoMirror: true, Rows: 1}},
		{name: "regions", model: tiny{dim: 3, spacing: mm, labels: [][]int{{0}, {1, 2}, {2}}}, shape: [3]int{13, 17, 20}, o: Options{NoMirror: true, Rows: 1}},
		{name: "2-D", model: tiny{dim: 2, spacing: [3]float64{0, 1, 1}}, shape: [3]int{5, 17, 20}, o: Options{NoMirror: true, Rows: 3}},
		{name: "one tile, finer scan", model: tiny{dim: 3, spacing: [3]float64{2, 2, 2}}, shape: [3]int{14, 16, 20}, o: Options{NoMirror: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := c.model.model()
			if c.transpose != [3]int{} {
				m.Plan.Transpose = c.transpose
				m.Plan.TransposeBack = volume.Axes(c.transpose).Inverse()
			}
			c.o.Device = openCPU(t)
			im := noise(c.shape, mm, 1, c.border)
			p := newTest(t, m, c.o)
			want := segment(t, p, im)
			if c.slabs {
				c.o.MemoryBytes = fewPlanes(t, p, im)
				p = newTest(t, m, c.o)
			}
			s := newShown(im.Grid)
			have, err := p.Image(t.Context(), im, ImageOptions{EveryRun: true, Partial: s.lay})
			require.NoError(t, err)
			require.Equal(t, c.slabs, have.Memory.Planes < have.Memory.Depth)
			assert.Equal(t, want.Labels.Data, have.Labels.Data, "they are not changed by being told of")
			assert.Equal(t, have.Memory.Runs, s.times)
			for i, v := range s.labels.Data {
				if v == unseen { // where the scan was cropped away
					s.labels.Data[i] = 0
				}
			}
			assert.Equal(t, have.Labels.Data, s.labels.Data)
		})
	}
}

// Tiles of a resampled scan leave no voxel between them out.
func TestPartialLabelsCoverAResampledScan(t *testing.T) {
	im := noise([3]int{31, 25, 29}, [3]float64{0.7, 1.3, 0.9}, 1, 0)
	s := newShown(im.Grid)
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{NoMirror: true, Rows: 1})
	_, err := p.Image(t.Context(), im, ImageOptions{EveryRun: true, Partial: s.lay})
	require.NoError(t, err)
	assert.Greater(t, s.times, 8)
	assert.NotContains(t, s.labels.Data, uint8(unseen))
}

func TestAStateBringsItsPartialLabels(t *testing.T) {
	im := noise([3]int{40, 9, 14}, mm, 1, 0)
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{NoMirror: true, Rows: 2})
	always := make(chan struct{})
	close(always)
	before, after := newShown(im.Grid), newShown(im.Grid)
	var st *State
	rare := ImageOptions{Partial: before.lay, PartialEvery: time.Hour, Pause: always, Save: func(s *State) { st = s }}
	for range 3 {
		rare.Resume = st
		_, err := p.Image(t.Context(), im, rare)
		require.ErrorIs(t, err, ErrPaused)
	}
	have, err := p.Image(t.Context(), im, ImageOptions{EveryRun: true, Partial: after.lay, Resume: again(t, st)})
	require.NoError(t, err)
	assert.Equal(t, have.Labels.Data, after.labels.Data)
	for i, v := range before.labels.Data {
		if v == unseen {
			before.labels.Data[i] = 0
		}
	}
	assert.Equal(t, st.labels, before.labels.Data, "all tiles of a state were told of")
}

func TestPartialLabelsAreRare(t *testing.T) {
	im := noise([3]int{40, 19, 24}, mm, 1, 0)
	p := newTest(t, tiny{dim: 3, spacing: mm}.model(), Options{Rows: 1})
	s := newShown(im.Grid)
	_, err := p.Image(t.Context(), im, ImageOptions{EveryRun: true, Partial: s.lay, PartialEvery: time.Hour})
	require.NoError(t, err)
	assert.Equal(t, 1, s.times)
}

// A run of one tile tells of the labels in the box that was said to be next.
func TestTheNextTileIsKnown(t *testing.T) {
	for _, c := range []struct {
		name  string
		folds int
		shape [3]int
		tta   bool
	}{{"one fold", 1, [3]int{31, 17, 20}, false}, {"mirrors", 1, [3]int{13, 9, 20}, true}, {"three folds", 3, [3]int{61, 17, 20}, false}} {
		t.Run(c.name, func(t *testing.T) {
			im := noise(c.shape, mm, 1, 1)
			p := newTest(t, tiny{dim: 3, spacing: mm, folds: c.folds}.model(), Options{NoMirror: !c.tta, Rows: 1})
			var next, shown []volume.Box
			_, err := p.Image(t.Context(), im, ImageOptions{
				EveryRun: true,
				Progress: func(p Progress) { next = append(next, p.Next) },
				Partial:  func(p Partial) { shown = append(shown, p.Box) },
			})
			require.NoError(t, err)
			require.Greater(t, len(next), 8)
			assert.Equal(t, shown[1:], next[:len(next)-1])
			assert.Zero(t, next[len(next)-1])
		})
	}
}
