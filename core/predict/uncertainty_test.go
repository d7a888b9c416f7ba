package predict

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The probabilities are those of nnU-Net (golden_test.go); they take another way to
// the scan, rounded to float32, which moves a level by one at most.
func TestUncertaintyIsWhatTheProbabilitiesLeaveOver(t *testing.T) {
	for _, c := range []struct {
		name    string
		labels  [][]int
		shape   [3]int
		spacing [3]float64
		border  int
		slabs   bool
	}{
		{name: "as it is", shape: [3]int{17, 18, 19}, spacing: mm},
		{name: "cropped, resampled", shape: [3]int{23, 22, 21}, spacing: [3]float64{0.8, 1.3, 0.7}, border: 3},
		{name: "regions", labels: [][]int{{0}, {1, 2}, {2}}, shape: [3]int{12, 22, 21}, spacing: [3]float64{0.8, 1.3, 0.7}, border: 2},
		{name: "slabs", shape: [3]int{61, 11, 12}, spacing: mm, slabs: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := tiny{dim: 3, spacing: mm, labels: c.labels}.model()
			im := noise(c.shape, c.spacing, 1, c.border)
			o := Options{NoMirror: true, Rows: 4, Device: openCPU(t)}
			p := newTest(t, m, o)
			if c.slabs {
				o.MemoryBytes = fewPlanes(t, p, im)
				p = newTest(t, m, o)
			}
			r, err := p.Image(t.Context(), im, ImageOptions{Probabilities: true, Uncertainty: true})
			require.NoError(t, err)
			require.Equal(t, c.slabs, r.Memory.Planes < r.Memory.Depth)
			require.Equal(t, im.Grid, r.Uncertainty.Grid)
			k := r.Probabilities.K
			for v, have := range r.Uncertainty.Data {
				want, most := 0.0, 0.0
				for _, x := range r.Probabilities.Data[v*k : (v+1)*k] {
					want, most = max(want, min(float64(x), 1-float64(x))), max(most, float64(x))
				}
				if c.labels == nil {
					want = 1 - most
				}
				require.LessOrEqual(t, math.Abs(255*want-float64(have)), 1.0, "voxel %d", v)
			}
			assert.Greater(t, len(distinct(r.Uncertainty.Data)), 50, "there is something to see")
		})
	}
}

// Sums that are all there at the end are all that it is made of.
func TestUncertaintyOfAResumedSegmentation(t *testing.T) {
	im := noise([3]int{30, 9, 14}, mm, 1, 0)
	m := tiny{dim: 3, spacing: mm}.model()
	o := Options{NoMirror: true, Rows: 2, Device: openCPU(t)}
	p := newTest(t, m, o)
	want, err := p.Image(t.Context(), im, ImageOptions{Uncertainty: true})
	require.NoError(t, err)
	always := make(chan struct{})
	close(always)
	var st *State
	_, err = p.Image(t.Context(), im, ImageOptions{Uncertainty: true, Pause: always, Save: func(s *State) { st = s }})
	require.ErrorIs(t, err, ErrPaused)
	have, err := p.Image(t.Context(), im, ImageOptions{Uncertainty: true, Resume: st})
	require.NoError(t, err)
	assert.Equal(t, want.Uncertainty.Data, have.Uncertainty.Data)

	o.MemoryBytes = fewPlanes(t, p, im)
	_, err = newTest(t, m, o).Image(t.Context(), im, ImageOptions{Uncertainty: true, Save: func(*State) {}})
	assert.ErrorContains(t, err, "whose state has none")
}
