package cpu

import (
	"context"
	"syscall/js"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// openWasmTest opens a device with kernels of WebAssembly.
func openWasmTest(t testing.TB, workers int) *wasmDevice {
	d := openWasm(Options{Workers: workers}).(*wasmDevice)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// In a page that is not cross-origin isolated memory cannot be shared.
func TestMemoryThatIsNotSharedHasTheSameBits(t *testing.T) {
	var want [][]byte
	for _, shared := range []bool{true, false} {
		d := newWasmDevice(Options{}, wasmISAs()[0], 1, shared)
		s := session(t, d, graph.F32, tiles)
		require.NoError(t, s.Run(t.Context()))
		if want == nil {
			want = memoryOf(t, s)
			requireNumbers(t, s)
		}
		assert.Equal(t, want, memoryOf(t, s))
		require.NoError(t, d.Close())
	}
}

func TestFreedMemoryIsUsedAgain(t *testing.T) {
	d := openWasmTest(t, 2)
	var top, slots int64
	for i := range 4 {
		s := session(t, d, graph.F32, tiles)
		require.NoError(t, s.Run(t.Context()))
		s.Close()
		if i == 0 {
			top, slots = d.space.Top(), d.slots.Top()
		}
	}
	assert.Equal(t, top, d.space.Top())
	assert.Equal(t, slots, d.slots.Top())
	b, err := d.NewBuffer(1 << 20)
	require.NoError(t, err)
	got := make([]byte, 1<<20)
	require.NoError(t, b.Read(t.Context(), 0, got))
	assert.Equal(t, make([]byte, 1<<20), got, "it is zero again")
}

// Weights are packed before the first run: what is written later must count too,
// also through another session.
func TestWeightsThatAreWrittenBetweenRunsCount(t *testing.T) {
	d := openWasmTest(t, 1)
	x := make([]float32, 2*3*4*2)
	for i := range x {
		x[i] = float32(i%5) - 2
	}
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x := b.Declare("x", graph.IO, graph.F32, 1, 2, 3, 4, 2)
		y := b.Apply("conv", graph.Conv3D{Stride: [3]int{1, 1, 1}}, x, b.Param("w", 3, 3, 3, 2, 3), b.Param("b", 3))[0]
		b.Place(y, graph.IO)
		return []graph.Value{y}
	})
	require.NoError(t, err)
	p, err := compile.Compile(g, compile.Options{})
	require.NoError(t, err)
	open := func(shared *backend.Session) *backend.Session {
		s, err := backend.NewSession(d, p, shared, graph.Weights)
		require.NoError(t, err)
		t.Cleanup(s.Close)
		require.NoError(t, s.WriteF32(t.Context(), p.Find(graph.IO, "x"), x))
		return s
	}
	w, y := p.Find(graph.Weights, "w"), g.Nodes[0].Out[0]
	write := func(s *backend.Session, scale float32) {
		values := make([]float32, p.Type(w).Shape.Elems())
		for i := range values {
			values[i] = scale * float32(i%3-1)
		}
		require.NoError(t, s.WriteWeight(t.Context(), w, values))
	}
	result := func(s *backend.Session) []float32 {
		require.NoError(t, s.Run(t.Context()))
		out := make([]float32, p.Type(y).Shape.Elems())
		require.NoError(t, s.ReadF32(t.Context(), y, out))
		return out
	}
	twice := func(v []float32) []float32 {
		out := make([]float32, len(v))
		for i := range v {
			out[i] = 2 * v[i]
		}
		return out
	}
	a := open(nil)
	b := open(a)
	write(a, 1)
	once := result(a)
	require.Contains(t, once, float32(2), "there is something to see")
	require.Equal(t, once, result(b))
	write(b, 2)
	assert.Equal(t, twice(once), result(a))
	assert.Equal(t, twice(once), result(b))
}

// A convolution that takes far longer than events may wait is ended in its midst.
func TestARunEndsWithItsContext(t *testing.T) {
	d := openWasmTest(t, 1)
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x := b.Declare("x", graph.IO, graph.F32, 1, 32, 32, 32, 64)
		y := b.Apply("conv", graph.Conv3D{Stride: [3]int{1, 1, 1}}, x, b.Param("w", 3, 3, 3, 64, 64), b.Param("b", 64))[0]
		b.Place(y, graph.IO)
		return []graph.Value{y}
	})
	require.NoError(t, err)
	p, err := compile.Compile(g, compile.Options{})
	require.NoError(t, err)
	s, err := backend.NewSession(d, p, nil)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	err = s.Run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "before node conv")
	require.NoError(t, s.Run(t.Context()), "the program can run again")
}

func TestMemoryBeyond32BitsIsRefused(t *testing.T) {
	d := openWasmTest(t, 1)
	for _, n := range []int64{-1, 1 << 32, 1<<63 - 1} {
		_, err := d.NewBuffer(n)
		assert.ErrorIs(t, err, backend.ErrMemory, n)
	}
	b, err := d.NewBuffer(100)
	require.NoError(t, err)
	for _, off := range []int64{-1, 97, 1<<63 - 2} {
		assert.Error(t, b.Write(t.Context(), off, make([]byte, 4)), off)
		assert.Error(t, b.Read(t.Context(), off, make([]byte, 4)), off)
	}
	b.Free()
	b.Free()
	assert.Error(t, b.Write(t.Context(), 0, make([]byte, 4)))
}

// Runs and compilations after the end of the threads are errors; they wait for
// nobody.
func TestWithoutItsThreadsADeviceIsLost(t *testing.T) {
	d := newWasmDevice(Options{}, isaWasm, 2, true)
	s := session(t, d, graph.F32, tiles)
	require.NoError(t, s.Run(t.Context()))
	b, err := d.NewBuffer(16)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.ErrorIs(t, s.Run(t.Context()), errClosed)
	_, err = s.Profile(t.Context())
	require.ErrorIs(t, err, errClosed)
	_, err = backend.NewSession(d, s.Program, nil)
	require.ErrorIs(t, err, errClosed)
	require.NoError(t, b.Read(t.Context(), 0, make([]byte, 16)), "buffers stay readable")

	d = newWasmDevice(Options{}, isaWasm, 2, true)
	s = session(t, d, graph.F32, tiles)
	d.crew.others[0].said <- js.ValueOf("no memory") // what it says instead of "stopped"
	_, err = backend.NewSession(d, s.Program, nil)
	require.ErrorIs(t, err, backend.ErrLost)
	assert.ErrorContains(t, err, "cpu: thread 2 of 2: said no memory")
	require.ErrorIs(t, s.Run(t.Context()), backend.ErrLost)
	require.NoError(t, d.Close())
}
