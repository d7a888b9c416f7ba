package backendtest

import (
	"context"
	"fmt"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// normed is a batch norm with its adjoint and what its running statistics move towards.
type normed struct {
	*graph.Graph
	x, dy         graph.Value // a part of each device
	gamma, beta   graph.Value
	parts, wholes []graph.Value // results: of the samples of a device, and of all
}

// newNormed is one of n samples. With devices they are a part of those of all.
func newNormed(n int, devices bool) (*normed, error) {
	const c, slope, eps = 8, 0.01, 1e-5
	shape := []int{n, 2, 3, 5, c}
	r := &normed{}
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		r.x, r.dy = b.Declare("x", graph.IO, graph.T, shape...), b.Declare("dy", graph.IO, graph.T, shape...)
		r.gamma, r.beta = b.Param("gamma", c), b.Param("beta", c)
		pool := graph.Pool{Batch: true, Devices: devices}
		y := b.Apply("norm", graph.NormAct{Eps: eps, Slope: slope, Pool: pool}, r.x, r.gamma, r.beta)
		to := b.Apply("batch", graph.Estimate{Eps: eps, Count: graph.Shape(shape).Elems() / c}, y[1])
		d := b.Apply("grad", graph.NormActGrad{Slope: slope, Pool: pool}, r.dy, r.x, r.gamma, r.beta, y[1])
		r.parts, r.wholes = []graph.Value{y[0], d[0]}, []graph.Value{to[0], to[1], d[1], d[2]}
		for _, v := range append(r.wholes[:4:4], r.parts...) {
			b.Place(v, graph.IO)
		}
		b.Apply("reduce", graph.AllReduce{}, d[1], d[2]) // as those of other weights
		return append(r.wholes[:4:4], r.parts...)
	})
	r.Graph = g
	return r, err
}

// checkNorms is the part of one rank of a batch norm over the samples of all devices: its
// results and gradients are those of one device with all samples, in the error that the
// definition has there.
func checkNorms(ctx context.Context, dev backend.Device, rank, world int) error {
	var wrong error // who stops lets the others wait
	for _, storage := range storages(dev.Limits()) {
		if err := checkNormsOf(ctx, dev, storage, rank, world); err != nil && wrong == nil {
			wrong = fmt.Errorf("rank %d: %v: %w", rank, storage, err)
		}
	}
	return wrong
}

func checkNormsOf(ctx context.Context, dev backend.Device, storage graph.DType, rank, world int) error {
	const samples = 2
	one, err := newNormed(samples*world, true)
	if err != nil {
		return err
	}
	whole, err := compile.Compile(one.Graph, compile.Options{Storage: storage})
	if err != nil {
		return err
	}
	values := map[graph.Value]array{}
	seed := newSource(9300)
	given := func(v graph.Value, shift float64) {
		a := newArray(whole.Type(v))
		for i, x := range seed.normal(len(a.v)) {
			a.v[i] = exact(round(a.typ.DType, x+shift))
		}
		values[v] = a
	}
	given(one.x, 4)
	given(one.dy, 0)
	given(one.gamma, 0)
	given(one.beta, 0)
	x := values[one.x]
	for i := range x.v { // samples with means of their own
		x.v[i] = exact(round(storage, x.v[i].v*float64(1+i*samples*world/len(x.v))))
	}
	interpret(whole, values, false)

	o := optionsFor(dev, storage)
	o.World, o.Rank = world, rank
	mine, err := newNormed(samples, true)
	if err != nil {
		return err
	}
	p, err := compile.Compile(mine.Graph, o)
	if err != nil {
		return err
	}
	r, err := newRig(dev, p)
	if err != nil {
		return err
	}
	defer r.free()
	part := func(a array) array {
		n := len(a.v) / world
		a.v = a.v[rank*n:][:n]
		return a
	}
	r.set(mine.x, plain(part(values[one.x]).v))
	r.set(mine.dy, plain(part(values[one.dy]).v))
	r.set(mine.gamma, plain(values[one.gamma].v))
	r.set(mine.beta, plain(values[one.beta].v))
	var wrong error
	for range 3 { // a device may have it in another order each time
		if err := r.run(ctx); err != nil {
			return err
		}
		check := func(v graph.Value, want array) {
			if err := differ(r.get(v, true), want, false); err != nil && wrong == nil {
				wrong = fmt.Errorf("%s: %w", p.Info(v).Name, err)
			}
		}
		for i, v := range mine.wholes {
			check(v, values[one.wholes[i]])
		}
		for i, v := range mine.parts {
			check(v, part(values[one.parts[i]]))
		}
	}
	return wrong
}
