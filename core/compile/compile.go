// Package compile turns a graph into a program: which nodes run in which
// precision, in which order, and where every value lies in memory. Each pass is
// a function of a graph; none knows a device beyond the sizes of its buffers.
package compile

import (
	"github.com/gounet/gounet/core/graph"
)

// Options say what a program is compiled for.
type Options struct {
	Storage       graph.DType // of activations: F32 (the zero value), F16 or BF16
	Rematerialise bool        // rebuild NormAct results in the backward pass: less memory, a little more time
	World         int         // devices that take part in AllReduce; 0 and 1: this one alone
	Rank          int         // this device's place among them
	BufferBytes   int64       // largest buffer of the device; 0: no limit
	ValueBytes    int64       // largest value that a kernel can bind; 0: no limit
	BucketBytes   int64       // of values that AllReduce adds up at once; 0: 16 MiB
	InPlace       bool        // a norm may write over what it reads: for devices whose kernels do it in place
	Linked        bool        // lay out all parameters, as a training step does: for programs that share its weights
}

// Program is a graph with its memory. It is all that a backend is given.
type Program struct {
	*graph.Graph
	Storage graph.DType
	Places  []Place                  // Places[v-1] is where v lives
	Size    map[graph.Region][]int64 // bytes of each chunk of a region
}

// Compile turns g into a program, or says which value does not fit.
func Compile(g *graph.Graph, o Options) (*Program, error) {
	g = dropUnused(g, o.World)
	g = precision(g, o.Storage)
	if o.Rematerialise {
		g = rematerialise(g)
	}
	g = shareNorms(g, o.World, o.Rank)
	g = reduceEarly(g, o.BucketBytes)
	p, err := place(g, o)
	if err != nil {
		return nil, err
	}
	p.Storage = o.Storage
	return p, nil
}

// Place of v. Values that no node touches have none: ok is false.
func (p *Program) Place(v graph.Value) (at Place, ok bool) {
	at = p.Places[v-1]
	return at, at.Bytes > 0
}

// Bytes is the size of a region: what a run needs, known before it runs.
func (p *Program) Bytes(r graph.Region) (n int64) {
	for _, c := range p.Size[r] {
		n += c
	}
	return n
}

// TotalBytes is the size of all regions.
func (p *Program) TotalBytes() (n int64) {
	for r := range graph.Region(graph.Regions) {
		n += p.Bytes(r)
	}
	return n
}

// Params lists the values of Weights in order.
func (p *Program) Params() []graph.Value { return p.in(graph.Weights) }

func (p *Program) in(r graph.Region) (vs []graph.Value) {
	for i, info := range p.Values {
		if info.Region == r {
			vs = append(vs, graph.Value(i+1))
		}
	}
	return vs
}

// Find returns the value of that name in region r, or zero.
func (p *Program) Find(r graph.Region, name string) graph.Value {
	for i, info := range p.Values {
		if info.Region == r && info.Name == name {
			return graph.Value(i + 1)
		}
	}
	return 0
}
