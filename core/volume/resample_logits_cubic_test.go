package volume

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCubicLogitsAreThoseOfScikitImage compares with testdata/cubic_logits.py, and labels
// with those of the logits themselves.
func TestCubicLogitsAreThoseOfScikitImage(t *testing.T) {
	b, err := os.ReadFile("testdata/cubic_logits.json")
	require.NoError(t, err)
	var cases []struct {
		K               int
		Shape, To       [3]int
		Logits, Resized []float32
	}
	require.NoError(t, json.Unmarshal(b, &cases))
	require.Len(t, cases, 3)
	for _, c := range cases {
		one := [3]float64{1, 1, 1}
		p := Placement{Shape: c.Shape, Cropped: c.To, Spacing: one, CropSpacing: one, Crop: Whole(c.To)}
		assert.True(t, p.CubicLogits())
		got, err := p.ExportCubic(c.Logits, c.K)
		require.NoError(t, err)
		assert.InDeltaSlice(t, c.Resized, got.Data, 2e-5, "of 16: splines in float32")
		labels, err := p.LabelsCubic(c.Logits, c.K, nil)
		require.NoError(t, err)
		order := make([]uint8, c.K)
		for i := range order {
			order[i] = uint8(c.K - i)
		}
		regions, err := p.LabelsCubic(c.Logits, c.K, order)
		require.NoError(t, err)
		for v := range labels {
			z := got.Data[v*c.K : (v+1)*c.K]
			best, painted := 0, uint8(0)
			for i, x := range z {
				if x > z[best] {
					best = i
				}
				if x > 0 {
					painted = order[i]
				}
			}
			require.Equal(t, []uint8{uint8(best), painted}, []uint8{labels[v], regions[v]})
		}
		_, err = p.LabelsCubic(c.Logits[1:], c.K, nil)
		assert.Error(t, err)
	}
}
