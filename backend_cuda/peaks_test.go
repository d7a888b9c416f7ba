//go:build cuda && linux

package cuda

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// By the emulated clock a kernel takes a millisecond, whatever it does.
func TestPeaksAreMeasuredByTheClockOfTheGPU(t *testing.T) {
	e := emulatedOnly(t)
	e.set("memory", 4<<20)
	d := closing(t)
	free := d.unused()
	for _, storage := range []graph.DType{graph.F32, graph.F16} {
		_, want, err := multiplyPeak(target{Arch: 90, SMs: d.facts.sms}, storage, 2)
		require.NoError(t, err)
		flop, bytes, err := d.peaks(storage, 2)
		require.NoError(t, err)
		assert.InEpsilon(t, want*1000, flop, 1e-6)
		_, moved := movePeak(4 << 20 / 8)
		assert.InEpsilon(t, float64(moved)*1000, bytes, 1e-6)
	}
	assert.Equal(t, free, d.unused(), "memory is given back")

	e.set("memory", 16<<10)
	_, err := d.multiplyPeak(graph.F32, 2)
	require.ErrorContains(t, err, "MiB are wanted")
}
