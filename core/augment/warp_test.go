package augment_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/core/augment"
	"github.com/gounet/gounet/core/graph"
)

// TestLabelsOfAPreviousStageGoWhereWarpPutsTheOthers turns, scales and mirrors labels, also
// beyond the border, on the host and by the op.
func TestLabelsOfAPreviousStageGoWhereWarpPutsTheOthers(t *testing.T) {
	b := augment.Batch{Source: [3]int{6, 7, 8}, Patch: [3]int{5, 4, 6}}
	labels := make([]byte, 6*7*8)
	for i := range labels {
		labels[i] = []byte{0, 1, 2, 255, 7}[i*i*i%5]
	}
	still := []float32{1, 0, 0, 0, 1, 0, 0, 0, 1, 2.5, 3, 3.5} // copies, and ties half-way
	for _, row := range [][]float32{
		still,
		{0.9, 0.1, 0.2, -0.15, -1.1, 0.25, 0.1, -0.25, 0.8, 2.4, 3.1, 3.6},
		{1.6, 0.3, 0.2, -0.3, 1.5, 0.4, 0.1, -0.4, -1.7, 0.5, 5.5, 3.2},
	} {
		_, want := one(t, graph.Warp{Patch: b.Patch}, b.Source, make([]float32, len(labels)), labels, row)
		got := make([]byte, len(want))
		b.WarpPrevious(got, labels, row, nil)
		assert.Equal(t, want, got)
	}
}
