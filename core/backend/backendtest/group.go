package backendtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// RunGroup checks AllReduce over devices that take part in one group, each
// owned by its own goroutine, as in training.
func RunGroup(t *testing.T, open func(t testing.TB) []backend.Device) {
	devs := open(t)
	t.Cleanup(func() {
		for _, d := range devs {
			require.NoError(t, d.Close())
		}
	})
	for _, mean := range []bool{false, true} {
		t.Run(fmt.Sprintf("mean %v", mean), func(t *testing.T) {
			errs := make([]error, len(devs))
			var wg sync.WaitGroup
			for rank, dev := range devs {
				wg.Go(func() { errs[rank] = checkReduce(t.Context(), dev, rank, len(devs), mean) })
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
		})
	}
}

// checkReduce is the part of one rank. Its values are world times a number of
// eighths, so that sums and means are exact in any order.
func checkReduce(ctx context.Context, dev backend.Device, rank, world int, mean bool) error {
	shapes := [][]int{{17}, {2, 3}, {1}, {1000}}
	var in []graph.Value
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		for i, s := range shapes {
			in = append(in, b.Declare(fmt.Sprintf("v%d", i), graph.IO, graph.F32, s...))
		}
		b.Apply("reduce", graph.AllReduce{Mean: mean}, in...)
		return nil
	})
	if err != nil {
		return err
	}
	p, err := compile.Compile(g, compile.Options{World: world})
	if err != nil {
		return err
	}
	r, err := newRig(dev, p)
	if err != nil {
		return err
	}
	defer r.free()
	want := make([]array, len(in))
	for from := range world {
		s := newSource(9100 + from)
		for i, v := range in {
			part := s.eighths(graph.Shape(shapes[i]).Elems())
			if want[i].none() {
				want[i] = newArray(p.Type(v))
			}
			for j := range part {
				part[j] *= float64(world)
				if mean {
					want[i].v[j].v += part[j] / float64(world)
				} else {
					want[i].v[j].v += part[j]
				}
			}
			if from == rank {
				r.set(v, part)
			}
		}
	}
	if err := r.run(ctx); err != nil {
		return fmt.Errorf("rank %d: %w", rank, err)
	}
	for i, v := range in {
		if err := differ(r.get(v, true), want[i], true); err != nil {
			return fmt.Errorf("rank %d: %s: %w", rank, p.Info(v).Name, err)
		}
	}
	return r.intact(func(graph.Value) bool { return true })
}
