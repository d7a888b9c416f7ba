// Package graph is the vocabulary of the project: typed values, operations on
// them, and the graphs that they form. It computes nothing and imports nothing.
//
// The one idea: a network, its gradients, its optimizer, augmentation and
// sliding window are all nodes of one static graph, so that memory, mixed
// precision and backends are each solved once, over a list of nodes.
//
// Axis letters, used in every shape comment of the project:
//
//	N batch   D H W space   C channels   K classes   P parameters
//
// Activations are [N D H W C], dense, channels last; 2-D is D = 1. There are no
// strides and no views: a value is its shape and its element type.
package graph

import (
	"fmt"
	"strings"
)

// DType is how an element is stored. Kernels always accumulate in f32.
type DType uint8

// Element types.
const (
	F32  DType = iota
	F16        // IEEE half
	BF16       // the upper half of an f32
	U8
	// T is the storage type of activations: f32, f16 or bf16, decided for the
	// whole graph by the compiler's precision pass.
	T
)

var dtypes = [...]struct {
	name string
	size int
}{F32: {"f32", 4}, F16: {"f16", 2}, BF16: {"bf16", 2}, U8: {"u8", 1}, T: {"T", 4}}

// Size is the number of bytes of an element. T counts as f32.
func (d DType) Size() int { return dtypes[d].size }

// String names the DType, for people.
func (d DType) String() string { return dtypes[d].name }

// Shape lists the axes of a value, slowest first.
type Shape []int

// Elems is the number of elements of a value of shape s.
func (s Shape) Elems() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// String names the Shape, for people.
func (s Shape) String() string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint([]int(s)), "[]"), " ", "×")
}

// Type is everything that a kernel may know of a value before it runs.
type Type struct {
	DType DType
	Shape Shape
}

// Bytes is the size of a value of type t.
func (t Type) Bytes() int64 { return int64(t.Shape.Elems()) * int64(t.DType.Size()) }

// String names the Type, for people.
func (t Type) String() string { return fmt.Sprintf("%s[%s]", t.DType, t.Shape) }

// Region says who owns the bytes of a value, and for how long.
type Region uint8

// Regions of memory.
const (
	Scratch Region = iota // shared by lifetime within a run; undefined between runs
	Weights               // f32 parameters; survive, saved in checkpoints
	Half                  // 16-bit copies of Weights, in the same order
	Grads                 // gradients of Weights, in the same order
	State                 // optimizer state, in the same order, slot after slot
	IO                    // written or read by the host between runs
	Data                  // volumes kept on the device
	Regions = 7           // the number of regions
)

var regions = [Regions]string{"scratch", "weights", "half", "grads", "state", "io", "data"}

// String names the Region, for people.
func (r Region) String() string { return regions[r] }

// Value names a value of one graph. The zero Value means "none".
type Value int

// One is the cotangent of a loss: the constant 1. Only ops that end a loss
// (SegLoss) accept it.
const One Value = -1

// Op is one operation with its attributes. Implementations are plain structs,
// so that a backend dispatches with a type switch and reads attributes as fields.
type Op interface {
	// Types returns the types of the results, or an error that says what is wrong.
	Types(in []Type) ([]Type, error)
	// Grad adds the adjoint of n to b. dout holds the cotangents of n.Out, the
	// result those of n.In; zero stands for "none" in both.
	Grad(b *Builder, n Node, dout []Value) []Value
}

// Mutator is an op that writes into some of its inputs, which must not lie in
// Scratch: weights, optimizer state, ctl, accumulators.
type Mutator interface {
	Op
	// Mutates lists the indices of the inputs that are written, given their number.
	Mutates(inputs int) []int
}

// HalfReader is an op with a weight input that may be a 16-bit copy.
type HalfReader interface {
	Op
	HalfInput() int
}

// Node applies Op to In and defines Out.
type Node struct {
	Name    string
	Op      Op
	In, Out []Value
}

// Info is what the graph knows of a value.
type Info struct {
	Name   string
	Type   Type
	Region Region
	// Of is the Weights value that a value of Half, Grads or State belongs to:
	// it lies at the same element offset of its region. Slot counts the states
	// of one weight (Adam has two).
	Of   Value
	Slot int
	// Fixed is set of parameters that no optimizer changes: they lie behind all
	// others of Weights.
	Fixed bool
}

// Graph is a list of nodes in an order that can be executed.
type Graph struct {
	Values  []Info // Values[v-1] describes v
	Nodes   []Node
	Outputs []Value // kept until the end of the run
	Split   int     // index of the first node of the backward pass; len(Nodes) without one
}

// Info describes v.
func (g *Graph) Info(v Value) *Info { return &g.Values[v-1] }

// Type is the type of v; the zero Type for "none".
func (g *Graph) Type(v Value) Type {
	if v <= 0 {
		return Type{}
	}
	return g.Values[v-1].Type
}

// Mutated lists the values that n writes in place.
func (n Node) Mutated() []Value {
	m, ok := n.Op.(Mutator)
	if !ok {
		return nil
	}
	var vs []Value
	for _, i := range m.Mutates(len(n.In)) {
		if n.In[i] != 0 {
			vs = append(vs, n.In[i])
		}
	}
	return vs
}

// OpName is the name of an op without its package: "Conv3D".
func OpName(op Op) string {
	return strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", op), "*"), "graph.")
}
