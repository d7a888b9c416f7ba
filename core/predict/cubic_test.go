package predict

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
)

// TestLabelsOfNVIDIAsModelsAreOfCubicLogits holds labels against the probabilities, which
// are made of the same logits, where a scan is resampled; elsewhere both ways are one.
func TestLabelsOfNVIDIAsModelsAreOfCubicLogits(t *testing.T) {
	for _, labels := range [][][]int{nil, {{0}, {1, 2}, {2}}} {
		im := noise([3]int{61, 12, 13}, [3]float64{0.8, 1.3, 0.7}, 1, 0)
		linear := tiny{dim: 3, spacing: mm, labels: labels}.model()
		cubic := tiny{dim: 3, spacing: mm, labels: labels}.model()
		c := &cubic.Plan.Configurations[0]
		c.Planes, c.Resampling = true, plan.Resampling{ImageOrder: 3, LabelOrder: 1, LogitOrder: 3, SeparateZ: plan.SeparateNever}
		o := Options{NoMirror: true, Rows: 2, Device: openCPU(t)}
		p := newTest(t, cubic, o)
		r, err := p.Image(t.Context(), im, ImageOptions{Probabilities: true})
		require.NoError(t, err)
		assert.Equal(t, r.Probabilities.Labels(im.Grid, cubic.Plan.RegionOrder).Data, r.Labels.Data)
		other, err := newTest(t, linear, o).Image(t.Context(), im, ImageOptions{})
		require.NoError(t, err)
		assert.NotEqual(t, other.Labels.Data, r.Labels.Data)
		m, err := p.Plan(im.Grid)
		require.NoError(t, err)
		assert.True(t, m.Logits)
		assert.Greater(t, m.Host, other.Memory.Host)

		// Where planes wander the labels are the same, but no state has the logits.
		o.MemoryBytes = fewPlanes(t, p, im)
		few := newTest(t, cubic, o)
		again, err := few.Image(t.Context(), im, ImageOptions{})
		require.NoError(t, err)
		require.Less(t, again.Memory.Planes, again.Memory.Depth)
		assert.Equal(t, r.Labels.Data, again.Labels.Data)
		_, err = few.Image(t.Context(), im, ImageOptions{Save: func(*State) {}})
		assert.ErrorContains(t, err, "its state has no logits")

		same := noise([3]int{20, 12, 13}, mm, 1, 0)
		x, err := newTest(t, cubic, Options{NoMirror: true, Device: openCPU(t)}).Image(t.Context(), same, ImageOptions{})
		require.NoError(t, err)
		y, err := newTest(t, linear, Options{NoMirror: true, Device: openCPU(t)}).Image(t.Context(), same, ImageOptions{})
		require.NoError(t, err)
		assert.Equal(t, y.Labels.Data, x.Labels.Data)
		assert.False(t, x.Memory.Logits)
	}
}
