package cpu

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPeaksAreMeasuredForEveryInstructionSet(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 64 MiB arrays")
	}
	for _, name := range ISAs() {
		dev := Open(Options{Workers: 2, ISA: name})
		flop, bytes := dev.(*device).Peaks()
		assert.Greater(t, flop, 1e8, name) // any machine of this century
		assert.Greater(t, bytes, 1e8, name)
		require.NoError(t, dev.Close())
	}
}
