package augment_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/augment"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// TestZoomsAreCubicAsNVIDIAs enlarges crops and compares with testdata/zoom.json: labels
// everywhere, images two voxels from the border on.
func TestZoomsAreCubicAsNVIDIAs(t *testing.T) {
	b, err := os.ReadFile("testdata/zoom.json")
	require.NoError(t, err)
	var cases []struct {
		Source, Patch [3]int
		Image, Zoomed []float32
		Labels, Near  []int
	}
	require.NoError(t, json.Unmarshal(b, &cases))
	require.Len(t, cases, 3)
	for _, c := range cases {
		row := make([]float32, graph.WarpLen)
		labels, near := bytesOf(c.Labels), bytesOf(c.Near)
		for a := range 3 {
			row[graph.RowAffine+4*a] = float32(c.Source[a]) / float32(c.Patch[a])
			row[graph.RowOffset+a] = float32(c.Source[a]-1) / 2
		}
		x, y := one(t, graph.Warp{Patch: c.Patch, Cubic: true}, c.Source, c.Image, labels, row)
		compared := 0
		for i := range x {
			if !halfway(row, c.Patch, i) {
				assert.Equal(t, near[i], y[i], "label %d", i)
			}
			o := [3]int{i / (c.Patch[1] * c.Patch[2]), i / c.Patch[2] % c.Patch[1], i % c.Patch[2]}
			within := true
			for a, n := range c.Source {
				p := (float64(o[a])+0.5)*float64(n)/float64(c.Patch[a]) - 0.5
				within = within && (n == 1 || p >= 1 && math.Floor(p)+2 < float64(n))
			}
			if within {
				compared++
				assert.InDelta(t, c.Zoomed[i], x[i], 2e-6, "voxel %v", o) // of 2.9; positions are float32
			}
		}
		assert.Greater(t, compared, len(x)/10)

		host := augment.Batch{Recipe: plan.NVIDIA(false), Source: c.Source, Patch: c.Patch}
		previous := make([]byte, len(y))
		host.WarpPrevious(previous, labels, row, nil)
		assert.Equal(t, y, previous, "labels of a previous stage go the same way")
	}
}

func bytesOf(v []int) []byte {
	out := make([]byte, len(v))
	for i, x := range v {
		out[i] = byte(x)
	}
	return out
}
