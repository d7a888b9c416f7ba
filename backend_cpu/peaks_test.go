package cpu

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

func TestPeaksAreMeasuredForEveryInstructionSet(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 64 MiB arrays")
	}
	for _, s := range isas() {
		dev := Open(Options{Workers: 2, ISA: s.name})
		flop, bytes, err := dev.(*device).Peaks(graph.F32)
		require.NoError(t, err)
		assert.Greater(t, flop, 1e8, s.name) // any machine of this century
		assert.Greater(t, bytes, 1e8, s.name)
		require.NoError(t, dev.Close())
	}
}
