package backendtest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// operand is an input of a case. The zero operand stands for "none".
type operand struct {
	name   string
	region graph.Region
	dtype  graph.DType
	shape  graph.Shape
	data   []float64
	of     int // index+1 of the operand that this one is a gradient, state or copy of
	slot   int
}

// testCase is one op with inputs.
type testCase struct {
	name string // what is special about it
	op   graph.Op
	in   []operand
	// exact says that float32 arithmetic makes no error on these inputs, in any
	// order: results must be equal.
	exact bool
	half  bool // only for 16-bit storage
}

// title is the name of a case among those of its op.
func (c testCase) title() string { return strings.ReplaceAll(c.name, " ", "_") }

func (c testCase) fits(storage graph.DType) bool { return !c.half || storage != graph.F32 }

// graph of the case, and its values in the order of the operands.
func (c testCase) graph() (*graph.Graph, []graph.Value, error) {
	in := make([]graph.Value, len(c.in))
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		for i, o := range c.in {
			if o.shape != nil {
				in[i] = b.Declare(o.name, o.region, o.dtype, o.shape...)
			}
		}
		return b.Apply("case", c.op, in...)
	})
	if err != nil {
		return nil, nil, err
	}
	for i, o := range c.in {
		if o.of > 0 {
			info := g.Info(in[i])
			info.Of, info.Slot = in[o.of-1], o.slot
		}
	}
	return g, in, nil
}

// check runs the case three times and compares all memory with the oracle's.
func (c testCase) check(ctx context.Context, dev backend.Device, storage graph.DType) error {
	g, in, err := c.graph()
	if err != nil {
		return err
	}
	l := dev.Limits()
	p, err := compile.Compile(g, compile.Options{
		Storage: storage, World: l.World, BufferBytes: l.BufferBytes, ValueBytes: l.ValueBytes, InPlace: l.InPlace,
	})
	if err != nil {
		return err
	}
	r, err := newRig(dev, p)
	if err != nil {
		return err
	}
	defer r.free()
	for i, o := range c.in {
		if in[i] != 0 {
			r.set(in[i], o.data)
		}
	}
	setHalves(r)

	if err := r.run(ctx); err != nil {
		return err
	}
	if err := c.compare(r); err != nil {
		return err
	}
	first := r.snapshot()
	for range 2 {
		if err := r.run(ctx); err != nil {
			return err
		}
		if err := r.same(first); err != nil {
			return err
		}
	}
	return nil
}

// setHalves fills the copies of weights, of which a program may have nothing
// but the copies.
func setHalves(r *rig) {
	for i, info := range r.program.Values {
		if info.Region != graph.Half || info.Of == 0 {
			continue
		}
		copied := slices.Clone(r.inputs[info.Of])
		for j, v := range copied {
			copied[j] = round(graph.F32, v)
		}
		r.set(graph.Value(i+1), copied)
	}
}

func plain(ns []num) []float64 {
	vs := make([]float64, len(ns))
	for i, n := range ns {
		vs[i] = n.v
	}
	return vs
}

// compare checks what a run has left in memory.
func (c testCase) compare(r *rig) error {
	p := r.program
	values := map[graph.Value]array{}
	for i := range p.Values {
		values[graph.Value(i+1)] = r.get(graph.Value(i+1), false)
	}
	interpret(p, values, false)
	var written []graph.Value
	for _, n := range p.Nodes {
		written = append(written, n.Out...)
		written = append(written, n.Mutated()...)
	}
	for _, v := range written {
		got := r.get(v, true)
		if got.none() { // an output that no node reads
			continue
		}
		if err := differ(got, values[v], c.exact); err != nil {
			return fmt.Errorf("%s: %w", p.Info(v).Name, err)
		}
	}
	for _, v := range written {
		if info := p.Info(v); info.Region == graph.Half {
			if err := copies(r, v, info.Of); err != nil {
				return err
			}
		}
	}
	return r.intact(func(v graph.Value) bool { return slices.Contains(written, v) })
}

// copies: a 16-bit copy is the weight that the device has, rounded.
func copies(r *rig, half, w graph.Value) error {
	got, want := r.get(half, true), r.get(w, true)
	for i := range got.v {
		if x := round(got.typ.DType, want.v[i].v); got.v[i].v != x {
			return fmt.Errorf("%s[%d] is %v, wanted %v: the new weight, rounded", r.program.Info(half).Name, i, got.v[i].v, x)
		}
	}
	return nil
}

// differ compares what a device has stored with what the oracle says, and
// describes the worst element that it does not accept.
func differ(got, want array, exactly bool) error {
	d := got.typ.DType
	worst, bad, first := -1.0, 0, 0
	for i, w := range want.v {
		if exactly {
			w.e = 0
		}
		if math.IsNaN(w.v) && !math.IsInf(w.e, 1) {
			return fmt.Errorf("the case is wrong: element %v of %v is not a number by definition", position(got.typ.Shape, i), got.typ)
		}
		g := got.v[i].v
		if accepts(d, w, g) || !exactly && slices.Contains(want.also[i], g) {
			continue
		}
		bad++
		off := abs(g - w.v)
		if math.IsNaN(off) { // worse than any number
			off = math.Inf(1)
		}
		if off > worst {
			worst, first = off, i
		}
	}
	if bad == 0 {
		return nil
	}
	w := want.v[first]
	if exactly {
		w.e = 0
	}
	return fmt.Errorf("%d of %d elements of %v are wrong, the worst at %v: %v, wanted %v ± %.3g",
		bad, len(want.v), got.typ, position(got.typ.Shape, first), got.v[first].v, w.v, w.e*unit)
}

func abs(x float64) float64 { return max(x, -x) }

// position is the index i along each axis.
func position(s graph.Shape, i int) []int {
	p := make([]int, len(s))
	for a := len(s) - 1; a >= 0; a-- {
		p[a] = i % s[a]
		i /= s[a]
	}
	return p
}
