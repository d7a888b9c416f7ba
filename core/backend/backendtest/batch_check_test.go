package backendtest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// A device that mixes one sample with its neighbours is noticed.
func TestASampleThatDependsOnTheBatchIsNoticed(t *testing.T) {
	dev := newReference()
	dev.limits.F16, dev.limits.BF16 = false, false
	require.NoError(t, checkBatch(t.Context(), dev))
	dev.fault = func(n graph.Node, result func(graph.Value) array, _ *memory) {
		if x := result(n.Out[0]); n.Name == "head" && x.typ.Shape[0] > 1 {
			last := len(x.v) - 1
			x.v[last].v *= 1 + 0x1p-20
		}
	}
	require.ErrorContains(t, checkBatch(t.Context(), dev), "f32: sample 1 has other bits at place 4 than at place 1")
	dev.fault = func(n graph.Node, result func(graph.Value) array, _ *memory) {
		if x := result(n.Out[0]); n.Name == "head" && x.typ.Shape[0] == 1 {
			x.v[0].v *= 1 + 0x1p-20
		}
	}
	require.ErrorContains(t, checkBatch(t.Context(), dev), "f32: sample 0 has other bits among 5 than alone")
	dev.limits.Units = 4
	assert.NoError(t, checkBatch(t.Context(), dev), "they may share the work of one in another way")
}
