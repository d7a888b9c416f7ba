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
// owned by its own goroutine, as in training: by itself, beside other nodes, and in batch
// norms over the samples of all.
func RunGroup(t *testing.T, open func(t testing.TB) []backend.Device) {
	devs := open(t)
	t.Cleanup(func() {
		for _, d := range devs {
			require.NoError(t, d.Close())
		}
	})
	all := func(name string, check func(ctx context.Context, dev backend.Device, rank, world int) error) {
		t.Run(name, func(t *testing.T) {
			errs := make([]error, len(devs))
			var wg sync.WaitGroup
			for rank, dev := range devs {
				wg.Go(func() { errs[rank] = check(t.Context(), dev, rank, len(devs)) })
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
		})
	}
	for _, mean := range []bool{false, true} {
		all(fmt.Sprintf("mean %v", mean), func(ctx context.Context, dev backend.Device, rank, world int) error {
			return checkReduce(ctx, dev, rank, world, mean)
		})
	}
	all("beside other nodes", CheckBeside)
	all("batch norms of all samples", checkNorms)
}

// CheckBeside is the part of one rank of a program in which sums over all devices are
// under way while others are made:
//
//	yᵢ = xᵢ + xᵢ   yᵢ ← Σ yᵢ   z₀ = y₀ + y₁   z₁ = y₂ + y₃
//
// The sum of each begins when it is made, and is there when its z is. Values are eighths,
// so that all is exact.
func CheckBeside(ctx context.Context, dev backend.Device, rank, world int) error {
	const n, elems = 4, 3000
	var x, y [n]graph.Value
	var z [n / 2]graph.Value
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		for i := range n {
			x[i] = b.Declare(fmt.Sprintf("x%d", i), graph.IO, graph.F32, elems)
		}
		for i := range n {
			y[i] = b.Apply(fmt.Sprintf("y%d", i), graph.Add{}, x[i], x[i])[0]
			b.Place(y[i], graph.IO)
		}
		b.Apply("reduce", graph.AllReduce{}, y[:]...)
		for i := range z {
			z[i] = b.Apply(fmt.Sprintf("z%d", i), graph.Add{}, y[2*i], y[2*i+1])[0]
			b.Place(z[i], graph.IO)
		}
		return z[:]
	})
	if err != nil {
		return err
	}
	p, err := compile.Compile(g, compile.Options{World: world, BucketBytes: 1})
	if err != nil {
		return err
	}
	r, err := newRig(dev, p)
	if err != nil {
		return err
	}
	defer r.free()
	var want [n]array
	for from := range world {
		s := newSource(9200 + from)
		for i, v := range x {
			part := s.eighths(elems)
			if want[i].none() {
				want[i] = newArray(p.Type(y[i]))
			}
			for j := range part {
				want[i].v[j].v += 2 * part[j]
			}
			if from == rank {
				r.set(v, part)
			}
		}
	}
	var wrong error // who stops lets the others wait
	for range 4 {   // a device may have it in another order each time
		if err := r.run(ctx); err != nil {
			return fmt.Errorf("rank %d: %w", rank, err)
		}
		check := func(v graph.Value, want array) {
			if err := differ(r.get(v, true), want, true); err != nil && wrong == nil {
				wrong = fmt.Errorf("rank %d: %s: %w", rank, p.Info(v).Name, err)
			}
		}
		for i, v := range y {
			check(v, want[i])
		}
		for i, v := range z {
			sum := newArray(p.Type(v))
			for j := range sum.v {
				sum.v[j].v = want[2*i].v[j].v + want[2*i+1].v[j].v
			}
			check(v, sum)
		}
	}
	return wrong
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
