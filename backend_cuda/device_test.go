//go:build cuda && linux

package cuda

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gorgonia.org/cu"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// doubling is y = 2·x of n numbers.
func doubling(t *testing.T, n int) (p *compile.Program, x, y graph.Value) {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x = b.Declare("x", graph.IO, graph.F32, 1, 1, 1, n, 1)
		y = b.Apply("twice", graph.Add{}, x, x)[0]
		b.Place(y, graph.IO)
		return []graph.Value{y}
	})
	require.NoError(t, err)
	p, err = compile.Compile(g, compile.Options{})
	require.NoError(t, err)
	return p, x, y
}

// session is a program on d until the end of the test.
func session(t *testing.T, d *device, p *compile.Program) *backend.Session {
	s, err := backend.NewSession(d, p, nil)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func TestARunReplaysTheGraphAndStartsNoKernel(t *testing.T) {
	e := emulatedOnly(t)
	p, x, y := doubling(t, 512)
	s := session(t, closing(t), p)
	launches, replays := e.calls("cuLaunchKernel"), e.calls("cuGraphLaunch")
	in, out := make([]float32, 512), make([]float32, 512)
	for i := range in {
		in[i] = float32(i)
	}
	require.NoError(t, s.WriteF32(t.Context(), x, in))
	for range 3 {
		require.NoError(t, s.Run(t.Context()))
	}
	require.NoError(t, s.ReadF32(t.Context(), y, out))
	for i := range out {
		require.Equal(t, 2*in[i], out[i])
	}
	assert.Equal(t, launches, e.calls("cuLaunchKernel"))
	assert.Equal(t, replays+3, e.calls("cuGraphLaunch"))
}

// What was written before a run is what the run sees, however much waits in the ring
// of pinned memory: twice what it has room for, in writes of several sizes.
func TestWritesAndRunsHappenInTheOrderOfTheCalls(t *testing.T) {
	d := closing(t)
	const n = 4096
	d.stage.room = 10 * n
	p, x, y := doubling(t, n)
	s := session(t, d, p)
	in, out := make([]float32, n), make([]float32, 1)
	for i := range 50 {
		in[0] = float32(i)
		require.NoError(t, s.WriteF32(t.Context(), x, in[:n-17*i]))
		in[0] = -1 // src is the caller's again
		require.NoError(t, s.Run(t.Context()))
		if i%9 == 8 {
			require.NoError(t, s.ReadF32(t.Context(), y, out))
			require.Equal(t, 2*float32(i), out[0])
		}
	}
}

func TestWhatIsWrittenIsReadWhateverItsPlaceAndSize(t *testing.T) {
	d := closing(t)
	const whole = 1<<20 + 12345
	d.stage.room = 1 << 16 // so that writes wait for those before them
	b, err := d.NewBuffer(whole)
	require.NoError(t, err)
	defer b.Free()
	want, got := make([]byte, whole), make([]byte, whole)
	require.NoError(t, b.Read(t.Context(), 0, got))
	require.True(t, bytes.Equal(want, got), "new memory is zero")
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		off := r.IntN(whole)
		part := make([]byte, min(r.IntN(1<<(1+r.IntN(20))), whole-off))
		for i := range part {
			part[i] = byte(r.Uint32())
		}
		copy(want[off:], part)
		require.NoError(t, b.Write(t.Context(), int64(off), part))
	}
	require.NoError(t, b.Read(t.Context(), 0, got))
	require.True(t, bytes.Equal(want, got))
	require.NoError(t, b.Read(t.Context(), 77, got[:1000]))
	require.True(t, bytes.Equal(want[77:1077], got[:1000]))
	require.ErrorContains(t, b.Write(t.Context(), whole-1, []byte{1, 2}), "write of 2 bytes at 1060920 of a buffer of 1060921 bytes")
}

// The errors of Open say what is there and what was wanted.
func TestAGPUThatDoesNotFitIsNamed(t *testing.T) {
	e := emulatedOnly(t)
	for _, c := range []struct {
		what    string
		value   int64
		ordinal int
		want    string
	}{
		{"devices", 0, 0, "the driver sees no GPU"},
		{"devices", 2, 2, "GPU 2 is asked for, the driver sees 2, from 0 on"},
		{"arch", 70, 0, "emulated has compute capability 7.0, wanted 7.5 (Turing) or later"},
		{"pools", 0, 0, "emulated has no memory pools under this driver (CUDA 13.0)"},
	} {
		e.reset()
		e.set(c.what, c.value)
		_, err := open(e.driver, e.compiler, &cache{}, Options{Ordinal: c.ordinal})
		require.ErrorContains(t, err, c.want)
		assert.Equal(t, c.what == "devices", errors.Is(err, ErrNoDevice))
	}
	e.reset()
	e.set("arch", 75)
	assert.Equal(t, backend.Limits{TotalBytes: 1 << 30, FreeBytes: 1 << 30, Units: 4, F16: true, World: 1, InPlace: true}, closing(t).Limits(), "no bf16 before Ampere")
}

func TestAMissingDriverIsNamedWithItsPackage(t *testing.T) {
	_, err := loadDriver([]string{"libnothing.so.1", "/nowhere/libcuda.so"})
	require.ErrorIs(t, err, ErrNoDevice)
	require.ErrorContains(t, err, "libnothing.so.1")
	require.ErrorContains(t, err, "nvidia-driver")
	_, err = loadDriver([]string{"libm.so.6"}) // a library that is no driver
	require.ErrorContains(t, err, "libm.so.6: it has no cu")
}

func TestTooLittleMemoryIsAnErrorWithNumbersBeforeTheFirstRun(t *testing.T) {
	e := emulatedOnly(t)
	e.set("memory", 13<<20)
	d := closing(t)
	p, _, _ := doubling(t, 2<<20)
	_, err := backend.NewSession(d, p, nil)
	require.ErrorContains(t, err, "emulated has 13631488")
	p, _, _ = doubling(t, 1<<20)
	s := session(t, d, p)
	_, err = backend.NewSession(d, p, nil)
	require.ErrorContains(t, err, "8 MiB are wanted, 4 of its 13 MiB are free: choose a smaller patch or batch")
	require.NotErrorIs(t, err, backend.ErrLost)
	require.NoError(t, s.Run(t.Context()), "the device is as good as before")
}

// Whatever is called after a loss is an error that says so, and another device can be
// opened. Errors that the kernels make and errors of the GPU (ECC) are such.
func TestALostDeviceIsAnErrorOfEveryCall(t *testing.T) {
	e := emulatedOnly(t)
	p, x, _ := doubling(t, 512)
	for _, code := range []result{700, 719, 214} {
		d := opened(t)
		s, err := backend.NewSession(d, p, nil)
		require.NoError(t, err)
		require.NoError(t, s.Run(t.Context()))
		read := func() error { return s.Read(t.Context(), x, make([]byte, 2048)) }
		require.NoError(t, read())
		e.inject(code, 0)
		require.NoError(t, s.Run(t.Context()), "a run is handed over")
		err = read()
		require.ErrorIs(t, err, backend.ErrLost)
		require.ErrorContains(t, err, "twice", "with the name of the node")
		require.ErrorContains(t, err, "CUDA_LAUNCH_BLOCKING=1")
		require.ErrorIs(t, err, backend.ErrRestart)
		require.ErrorContains(t, err, "only a new process can use the GPU again")
		for name, call := range map[string]func() error{
			"Run":       func() error { return s.Run(t.Context()) },
			"Read":      read,
			"Write":     func() error { return s.Write(t.Context(), x, make([]byte, 2048)) },
			"NewBuffer": func() error { _, err := d.NewBuffer(1024); return err },
			"Compile":   func() error { _, err := backend.NewSession(d, p, nil); return err },
		} {
			for range 3 {
				assert.ErrorIs(t, call(), backend.ErrLost, name)
			}
		}
		s.Close()
		require.NoError(t, d.Close())
	}
	require.NoError(t, session(t, closing(t), p).Run(t.Context()))
}

// two is z = x + x, then z + x, by nodes of their own.
func two(t *testing.T) *compile.Program {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x := b.Declare("x", graph.IO, graph.F32, 1, 1, 1, 64, 1)
		y := b.Apply("first", graph.Add{}, x, x)[0]
		z := b.Apply("second", graph.AddAct{Slope: 0.5}, y, x)[0]
		b.Place(z, graph.IO)
		return []graph.Value{z}
	})
	require.NoError(t, err)
	p, err := compile.Compile(g, compile.Options{})
	require.NoError(t, err)
	return p
}

func TestWithBlockingLaunchesAFaultHasTheNameOfItsNode(t *testing.T) {
	e := emulatedOnly(t)
	t.Setenv("CUDA_LAUNCH_BLOCKING", "1")
	d := opened(t)
	s, err := backend.NewSession(d, two(t), nil)
	require.NoError(t, err)
	require.NoError(t, s.Run(t.Context()))
	e.inject(700, 0)
	err = s.Run(t.Context())
	require.ErrorIs(t, err, backend.ErrLost)
	require.ErrorContains(t, err, "first: CUDA error 700, an illegal memory access was encountered")
	assert.NotContains(t, err.Error(), "second")
	s.Close()
	require.NoError(t, d.Close())
}

func TestAProfileHasTheTimeOfEveryNode(t *testing.T) {
	s := session(t, closing(t), two(t))
	seconds, err := s.Profile(t.Context())
	require.NoError(t, err)
	require.Len(t, seconds, 2)
	for _, x := range seconds {
		assert.Positive(t, x)
	}
}

func TestALaunchAboveTheLimitsIsRefused(t *testing.T) {
	d := closing(t)
	p, _, _ := doubling(t, 64)
	e, err := d.Compile(p, buffersOf(t, d, p))
	require.NoError(t, err)
	defer e.Free()
	s := e.(*executable).list[0]
	require.NoError(t, d.enter())
	defer runtime.UnlockOSThread()
	for name, change := range map[string]func(*launch){
		"threads":            func(l *launch) { l.Block = [3]uint32{2048, 1, 1} },
		"bytes of shared":    func(l *launch) { l.Shared = 1 << 20 },
		"grid, when it runs": func(l *launch) { l.Grid[1] = 70000 },
	} {
		l := s.launch
		change(&l)
		err := d.allow(s.function, l)
		if name != "grid, when it runs" {
			require.ErrorContains(t, err, name)
			require.ErrorContains(t, err, "at most")
		}
		err = d.driver.start(s.function.Function, l, d.stream, s.pointers)
		require.ErrorContains(t, err, "CUDA error 1, invalid argument", name)
	}
	require.NoError(t, e.Run(t.Context()))
}

// Launches of one kernel ask for different amounts; what one got, the next does not
// take away.
func TestAKernelMayAskForMuchSharedMemoryAndThenForLess(t *testing.T) {
	d := closing(t)
	p, _, _ := doubling(t, 64)
	e, err := d.Compile(p, buffersOf(t, d, p))
	require.NoError(t, err)
	defer e.Free()
	s := e.(*executable).list[0]
	require.NoError(t, d.enter())
	defer runtime.UnlockOSThread()
	for _, bytes := range []uint32{100 << 10, 60 << 10} {
		l := s.launch
		l.Shared = bytes
		require.NoError(t, d.allow(s.function, l))
		l.Shared = 100 << 10
		require.NoError(t, d.driver.start(s.function.Function, l, d.stream, s.pointers))
	}
}

// buffersOf are memory for the regions of p.
func buffersOf(t *testing.T, d *device, p *compile.Program) map[graph.Region][]backend.Buffer {
	bind := map[graph.Region][]backend.Buffer{}
	for r, sizes := range p.Size {
		for _, n := range sizes {
			b, err := d.NewBuffer(n)
			require.NoError(t, err)
			t.Cleanup(b.Free)
			bind[r] = append(bind[r], b)
		}
	}
	return bind
}

func TestARunWithoutItsBuffersIsAnError(t *testing.T) {
	d := closing(t)
	p, _, _ := doubling(t, 64)
	bind := buffersOf(t, d, p)
	e, err := d.Compile(p, bind)
	require.NoError(t, err)
	for _, list := range bind {
		for _, b := range list {
			b.Free()
		}
	}
	require.ErrorContains(t, e.Run(t.Context()), "freed")
	e.Free()
	require.ErrorContains(t, e.Run(t.Context()), "freed")
	e.Free()
}

// A goroutine moves from thread to thread, and each has its own context.
func TestADeviceGoesWithItsGoroutine(t *testing.T) {
	d := closing(t)
	p, x, y := doubling(t, 64)
	s := session(t, d, p)
	out := make([]float32, 64)
	for i := range 4 {
		done := make(chan error)
		go func() {
			if err := cu.SetCurrentContext(cu.CUContext{}); err != nil {
				done <- err
				return
			}
			out[0] = float32(i)
			done <- errors.Join(s.WriteF32(t.Context(), x, out), s.Run(t.Context()), s.ReadF32(t.Context(), y, out))
		}()
		require.NoError(t, <-done)
		require.Equal(t, 2*float32(i), out[0])
	}
}
