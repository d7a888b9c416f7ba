package graph

import (
	"fmt"
	"slices"
)

// Builder grows a graph. It is only valid within Build.
type Builder struct{ g Graph }

// buildError carries an error from deep in a network's code up to Build.
type buildError struct{ error }

// Build runs f to build a graph whose outputs are the values that f returns. A
// network is written without error checks: the first operation that cannot be
// applied ends f, and Build returns its error.
func Build(f func(b *Builder) (outputs []Value)) (g *Graph, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case buildError:
			g, err = nil, r.error
		default:
			panic(r)
		}
	}()
	b := Builder{g: Graph{Split: -1}}
	b.g.Outputs = f(&b)
	if b.g.Split < 0 {
		b.g.Split = len(b.g.Nodes)
	}
	return &b.g, nil
}

// Fail ends the building with an error.
func (b *Builder) Fail(format string, a ...any) { panic(buildError{fmt.Errorf(format, a...)}) }

func (b *Builder) value(i Info) Value {
	b.g.Values = append(b.g.Values, i)
	return Value(len(b.g.Values))
}

// Declare adds a value that no node defines: a parameter or an input.
func (b *Builder) Declare(name string, r Region, d DType, shape ...int) Value {
	for _, n := range shape {
		if n < 1 {
			b.Fail("%s: shape %v has an axis below 1", name, shape)
		}
	}
	return b.value(Info{Name: name, Type: Type{d, shape}, Region: r})
}

// Param declares an f32 parameter.
func (b *Builder) Param(name string, shape ...int) Value {
	return b.Declare(name, Weights, F32, shape...)
}

// Fixed declares an f32 parameter that is not trained.
func (b *Builder) Fixed(name string, shape ...int) Value {
	v := b.Param(name, shape...)
	b.g.Info(v).Fixed = true
	return v
}

// State declares optimizer state of the weight w; slot counts states of one weight.
func (b *Builder) State(w Value, slot int) Value {
	i := *b.g.Info(w)
	return b.value(Info{Name: fmt.Sprintf("state%d.%s", slot, i.Name), Type: i.Type, Region: State, Of: w, Slot: slot})
}

// Apply adds a node. name is used in errors, dumps and profiles.
func (b *Builder) Apply(name string, op Op, in ...Value) []Value {
	types := make([]Type, len(in))
	for i, v := range in {
		types[i] = b.g.Type(v)
	}
	out, err := op.Types(types)
	if err != nil {
		b.Fail("%s: %s: %w", name, OpName(op), err)
	}
	vs := make([]Value, len(out))
	for i, t := range out {
		label := name
		if i > 0 {
			label = fmt.Sprintf("%s.%d", name, i)
		}
		vs[i] = b.value(Info{Name: label, Type: t})
	}
	n := Node{Name: name, Op: op, In: slices.Clone(in), Out: vs}
	for _, v := range n.Mutated() {
		if b.g.Info(v).Region == Scratch {
			b.Fail("%s: %s writes %s, which lies in scratch", name, OpName(op), b.g.Info(v).Name)
		}
	}
	b.g.Nodes = append(b.g.Nodes, n)
	return vs
}

// Type is the type of v.
func (b *Builder) Type(v Value) Type { return b.g.Type(v) }

// Name is the name of v.
func (b *Builder) Name(v Value) string { return b.g.Info(v).Name }

// Place moves a value out of Scratch into another region.
func (b *Builder) Place(v Value, r Region) { b.g.Info(v).Region = r }
