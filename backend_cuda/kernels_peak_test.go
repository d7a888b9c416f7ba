//go:build linux && amd64

package cuda

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// runAlone runs a launch on an emulated device, in memory whose end is what is given, and
// returns the memory.
func runAlone(t *testing.T, d *emulated, l launch, last []byte) []byte {
	image, constants, err := d.loaded(l)
	require.NoError(t, err)
	end := l.Args[len(l.Args)-1]
	e := &emulatedRun{dev: d, list: []launch{l}, images: []uintptr{image}, constants: [][]uint32{constants}, partials: make([]byte, end.Offset+end.Bytes)}
	copy(e.partials[end.Offset:], last)
	require.NoError(t, e.launch(0, d.seed.Add(1)))
	return e.partials
}

func floatsOf(b []byte) []float64 {
	v := make([]float64, len(b)/4)
	for i := range v {
		v[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return v
}

// The kernels that measure multiply-adds make all that are counted: of five rounds every thread
// has five times the sum of one, which a product of matrices by float64 has too.
func TestPeaksOfProductsMakeWhatIsCounted(t *testing.T) {
	for _, c := range []struct {
		arch    int
		storage graph.DType
		kernel  string
		deep    int // products of a sum in a round
	}{{75, graph.F16, "peak_mma", 16}, {80, graph.F16, "peak_mma", 16}, {80, graph.F32, "peak_mma", 8}, {90, graph.F16, "peak_wgmma", 64}} {
		d := openEmulated(t, target{Arch: c.arch, SMs: 1})
		operands := randomOperands(c.storage)
		var sums [2][]float64
		for i, rounds := range []int{1, 5} {
			l, flop, err := multiplyPeak(d.target, c.storage, rounds)
			require.NoError(t, err)
			assert.Equal(t, c.kernel, l.Kernel)
			sums[i] = floatsOf(runAlone(t, d, l, operands)[:l.Args[0].Bytes])
			assert.Len(t, sums[i], int(l.Grid[0]*l.Block[0]))
			each := map[string]int{"peak_mma": 32, "peak_wgmma": 64}[c.kernel] // sums of a thread
			assert.Equal(t, float64(2*each*c.deep*rounds*len(sums[i])), flop)
		}
		whole := 0.0
		for i, one := range sums[0] {
			require.InDelta(t, 5*one, sums[1][i], 1e-2, "thread %d of %v", i, c)
			whole += math.Abs(one)
		}
		assert.Greater(t, whole/float64(len(sums[0])), 1.0, "operands are multiplied")
	}
}

// Turing has no tensor cores for floats: they are multiplied one by one.
func TestPeaksOfFloatsOnTuringAreWithoutTensorCores(t *testing.T) {
	d := openEmulated(t, target{Arch: 75, SMs: 1})
	l, flop, err := multiplyPeak(d.target, graph.F32, 3)
	require.NoError(t, err)
	operands := randomOperands(graph.F32)
	got, factors := floatsOf(runAlone(t, d, l, operands)[:l.Args[0].Bytes]), floatsOf(operands)
	assert.Equal(t, float64(2*32*3*len(got)), flop)
	for thread := range peakThreads {
		a, b, want := factors[16*thread:], factors[16*thread+8:], 0.0
		for i := range 8 {
			for e := range 4 {
				s := 0.0
				for range 3 {
					s = s*a[i/4*4+e] + b[i%4*2+e%2]
				}
				want += s
			}
		}
		require.InDelta(t, want, got[thread], 1e-4)
	}
}

func TestPeakOfMemoryMovesAllThatIsCounted(t *testing.T) {
	l, n := movePeak(100_000)
	require.Equal(t, int64(3*2*16*peakVectors*peakThreads), n)
	y := make([]byte, n/3)
	for i := range len(y) / 4 {
		binary.LittleEndian.PutUint32(y[4*i:], math.Float32bits(float32(i+1)))
	}
	z := floatsOf(runAlone(t, openEmulated(t, hopper), l, y)[:n/3])
	for i := range z {
		require.Equal(t, 3*float64(i+1), z[i])
	}
}
