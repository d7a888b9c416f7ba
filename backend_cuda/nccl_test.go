//go:build cuda && linux

package cuda

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ebitengine/purego"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/backend_cuda/library"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// meeting is what a group of devices of this process has in the place of ranks.Group.
type meeting struct {
	id    [128]byte
	known chan struct{} // closed when rank 0 has said it
	ended context.Context
	end   context.CancelCauseFunc
}

// emulatedGroup opens devices of one group on the emulated driver and NCCL.
func emulatedGroup(t testing.TB, world int) ([]*device, *meeting) {
	e := emulatedOnly(t)
	path, err := e.compiler.c.NCCL()
	require.NoError(t, err)
	n, err := loadNCCL([]string{path})
	require.NoError(t, err)
	m := &meeting{known: make(chan struct{})}
	m.ended, m.end = context.WithCancelCause(context.Background())
	devices, errs := make([]*device, world), make([]error, world)
	var all sync.WaitGroup
	for rank := range world {
		devices[rank], err = open(e.driver, e.compiler, &cache{}, Options{})
		require.NoError(t, err)
		devices[rank].simple = true
		all.Go(func() {
			errs[rank] = devices[rank].join(n, &Group{Rank: rank, World: world, Ended: m.ended, Fail: m.end, Share: func(id []byte) error {
				if rank == 0 {
					copy(m.id[:], id)
					close(m.known)
				}
				<-m.known
				copy(id, m.id[:])
				return nil
			}})
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	return devices, m
}

func TestAllReducePassesTheConformanceSuite(t *testing.T) {
	backendtest.RunGroup(t, func(t testing.TB) []backend.Device {
		devices, _ := emulatedGroup(t, 3)
		list := make([]backend.Device, len(devices))
		for i, d := range devices {
			assert.Equal(t, 3, d.Limits().World)
			list[i] = d
		}
		return list
	})
}

// In the graph of a program nothing but events keeps a sum behind its terms, and what
// reads it behind the sum. Each wait that is left out is noticed, by the driver or in the
// numbers.
func TestEveryWaitBetweenStreamsIsNeeded(t *testing.T) {
	e := emulatedOnly(t)
	const waits = 4 + 2 // of four sums for their terms, and of two readers
	for k := range 1 + 2*waits {
		devices, m := emulatedGroup(t, 2)
		e.set("forget", int64(k)) // none, then each of one device or the other
		before := e.calls("cuStreamWaitEvent")
		errs := make([]error, len(devices))
		var all sync.WaitGroup
		for rank, d := range devices {
			all.Go(func() {
				if errs[rank] = backendtest.CheckBeside(t.Context(), d, rank, len(devices)); errs[rank] != nil {
					m.end(errs[rank]) // else the other waits
				}
			})
		}
		all.Wait()
		e.set("forget", 0)
		if k == 0 {
			require.NoError(t, errors.Join(errs...))
			require.EqualValues(t, 2*waits, e.calls("cuStreamWaitEvent")-before)
		} else {
			require.Error(t, errors.Join(errs...), "wait %d is left out, and nobody noticed", k)
		}
		for _, d := range devices {
			require.NoError(t, d.Close())
		}
	}
}

// reducing is Σ of n numbers over devices.
func reducing(t *testing.T, n int) (p *compile.Program, x graph.Value) {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x = b.Declare("x", graph.IO, graph.F32, n)
		b.Apply("reduce", graph.AllReduce{}, x)
		return nil
	})
	require.NoError(t, err)
	p, err = compile.Compile(g, compile.Options{World: 2})
	require.NoError(t, err)
	return p, x
}

// A rank that waits for one that is gone is let go, and never gives out the numbers that
// were left.
func TestADeviceWhoseGroupEndsIsLost(t *testing.T) {
	devices, m := emulatedGroup(t, 2)
	p, x := reducing(t, 100)
	sessions := make([]*backend.Session, len(devices))
	var all sync.WaitGroup
	for i, d := range devices { // which connects them
		all.Go(func() { sessions[i] = session(t, d, p) })
	}
	all.Wait()
	s := sessions[0]
	require.NoError(t, s.WriteF32(t.Context(), x, make([]float32, 100)))
	gone := errors.New("rank 1 is gone")
	require.NoError(t, s.Run(t.Context()))
	time.AfterFunc(50*time.Millisecond, func() { m.end(gone) })
	_ = s.ReadF32(t.Context(), x, make([]float32, 100)) // waits for the sum
	require.ErrorIs(t, s.Run(t.Context()), gone)
	require.ErrorIs(t, s.ReadF32(t.Context(), x, make([]float32, 100)), gone)
	for _, d := range devices {
		require.NoError(t, d.Close())
	}
}

// A rank that has failed before the others' first sum, for which NCCL connects all of them,
// leaves none waiting.
func TestNobodyWaitsForARankThatFailedBeforeItsFirstSum(t *testing.T) {
	devices, m := emulatedGroup(t, 2)
	p, _ := reducing(t, 100)
	gone := errors.New("rank 1 is gone")
	done := make(chan error, 1)
	go func() {
		_, err := backend.NewSession(devices[0], p, nil)
		done <- errors.Join(err, devices[0].Close())
	}()
	time.AfterFunc(50*time.Millisecond, func() { m.end(gone) })
	select {
	case err := <-done:
		require.ErrorIs(t, err, gone)
	case <-time.After(10 * time.Second):
		require.Fail(t, "rank 0 waits for one that is gone")
	}
	require.NoError(t, devices[1].Close())
}

// NCCL ends a communicator when no graph has a sum of it any more: those of programs that
// were freed after the group had ended, or never, are destroyed before.
func TestACommunicatorEndsAfterItsGraphs(t *testing.T) {
	for _, c := range []struct{ ends, frees bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		devices, m := emulatedGroup(t, 2)
		p, x := reducing(t, 100)
		done := make(chan error, len(devices))
		var run sync.WaitGroup
		run.Add(len(devices))
		for _, d := range devices {
			go func() {
				s, err := backend.NewSession(d, p, nil)
				if err == nil {
					err = errors.Join(s.Run(t.Context()), s.ReadF32(t.Context(), x, make([]float32, 100)))
				}
				run.Done()
				run.Wait()
				if c.ends {
					m.end(errors.New("another rank is gone"))
				}
				if c.frees && s != nil {
					s.Close()
				}
				done <- errors.Join(err, d.Close())
			}()
		}
		for range devices {
			select {
			case err := <-done:
				require.NoError(t, err)
			case <-time.After(10 * time.Second):
				require.Fail(t, "the communicator waits for its graphs", "%+v", c)
			}
		}
	}
}

func TestAnErrorOfTheNetworkEndsTheGroup(t *testing.T) {
	devices, m := emulatedGroup(t, 2)
	e := emulatedOnly(t)
	path, err := e.compiler.c.NCCL()
	require.NoError(t, err)
	handle, err := purego.Dlopen(path, purego.RTLD_NOW)
	require.NoError(t, err)
	var fail func(uintptr)
	require.NoError(t, library.Bind(handle, map[string]any{"emulated_fail": &fail}))
	fail(devices[1].comm.handle)
	select {
	case <-m.ended.Done():
		require.ErrorContains(t, context.Cause(m.ended), "unhandled system error")
	case <-time.After(time.Minute):
		require.Fail(t, "nobody noticed")
	}
	for _, d := range devices {
		require.NoError(t, d.Close())
	}
}

func TestADeviceWithoutAGroupDoesNotReduce(t *testing.T) {
	p, _ := reducing(t, 10)
	_, err := backend.NewSession(closing(t), p, nil)
	require.ErrorContains(t, err, "reduce: AllReduce")
	require.ErrorContains(t, err, "opened without a Group")
	_, err = loadNCCL([]string{"libnothing.so.2"})
	require.ErrorContains(t, err, "install Debian's or NVIDIA's libnccl2")
}

// What a group lacks is known before its devices are opened: the GPUs first, which no library
// replaces.
func TestAGroupThatCannotBeIsNamed(t *testing.T) {
	e := emulatedOnly(t)
	path, err := e.compiler.c.NCCL()
	require.NoError(t, err)
	none := []string{"libnothing.so.2"}
	e.set("devices", 2)
	require.NoError(t, groupOf(e.driver, e.compiler, []string{path}, 2))
	err = groupOf(e.driver, e.compiler, none, 8)
	require.ErrorIs(t, err, ErrNoDevice)
	require.ErrorContains(t, err, "8 GPUs are asked for, the driver sees 2")
	require.ErrorContains(t, groupOf(e.driver, e.compiler, none, 2), "install Debian's or NVIDIA's libnccl2")
	e.set("arch", 70)
	require.ErrorContains(t, groupOf(e.driver, e.compiler, none, 2), "GPU 0: emulated has compute capability 7.0")
}
