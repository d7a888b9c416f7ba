package predict

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/volume"
)

// boundless is a device that says nothing of its limits.
type boundless struct{ backend.Device }

func (boundless) Limits() backend.Limits { return backend.Limits{} }

// What a model needs is what a device is planned with, for a scan as its data had them.
func TestNeedsAreThoseOfAUsualScan(t *testing.T) {
	for _, dim := range []int{2, 3} {
		m := tiny{dim: dim, spacing: mm}.model()
		m.Plan.MedianShape, m.Plan.MedianSpacing = [3]int{31, 40, 50}, [3]float64{2, 1, 1.5}
		got, err := Needs(m)
		require.NoError(t, err)
		p := newTest(t, m, Options{Device: boundless{openCPU(t)}, NoMirror: true})
		want, err := p.Plan(volume.Grid{Shape: m.Plan.MedianShape, Spacing: m.Plan.MedianSpacing})
		require.NoError(t, err)
		assert.Equal(t, want, got, "%d-D", dim)
		assert.Greater(t, got.Total(), int64(4*31*40*50), "the scan itself is on the device")
		m.Plan.MedianShape[1] = -1 // as plans have it that do not know
		_, err = Needs(m)
		require.ErrorContains(t, err, "wanted more than 0")
	}
}
