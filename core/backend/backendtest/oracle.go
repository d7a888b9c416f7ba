package backendtest

import (
	"fmt"
	"slices"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// array is a value with its elements; the zero array stands for "none".
type array struct {
	typ graph.Type
	v   []num
	// also lists, for elements that are decisions (labels), what rounding may
	// have chosen instead.
	also map[int][]float64
}

func newArray(t graph.Type) array { return array{typ: t, v: make([]num, t.Shape.Elems())} }

func (a array) none() bool { return a.v == nil }

func (a array) clone() array {
	a.v = slices.Clone(a.v)
	return a
}

// call is one node to be computed: half[i] is the weight (0…N−1) whose copy the
// i-th 16-bit input of a Step is.
type call struct {
	op   graph.Op
	in   []array
	out  []graph.Type
	half []int
}

// evaluate computes a node as its op's documentation defines it, one output at
// a time. It returns the outputs and, by index, the inputs that are written.
func evaluate(c call) (out []array, mutated map[int]array) {
	out = make([]array, len(c.out))
	for i, t := range c.out {
		out[i] = newArray(t)
	}
	mutated = map[int]array{}
	if m, ok := c.op.(graph.Mutator); ok {
		for _, i := range m.Mutates(len(c.in)) {
			mutated[i] = c.in[i].clone()
		}
	}
	in := c.in
	switch op := c.op.(type) {
	case graph.Conv3D, graph.Conv3DGradInput, graph.Conv3DGradWeight,
		graph.UpConv3D, graph.UpConv3DGradInput, graph.UpConv3DGradWeight:
		evaluateConv(c, out)
	case graph.NormAct:
		normAct(op, in[0], in[1], in[2], out[0], out[1])
	case graph.NormApply:
		normApply(op.Slope, in[0], in[1], in[2], in[3], out[0])
	case graph.NormActGrad:
		normActGrad(op, in, out)
	case graph.Moments:
		momentsOf(op, in[0], out[0])
	case graph.Merged:
		merged(op, in[0], out[0])
	case graph.NormActGradSums:
		normActGradSums(op, in, out)
	case graph.NormActGradInput:
		normActGradInput(op, in, out[0])
	case graph.Estimate:
		estimate(op, in[0], out[0], out[1])
	case graph.Track:
		track(op, in[0], in[1], mutated[2], mutated[3])
	case graph.Running:
		running(op, in[0], in[1], out[0])
	case graph.Add, graph.AddAct, graph.ActGrad, graph.AvgPool, graph.AvgPoolGrad:
		evaluateElementwise(c, out)
	case graph.Enlarge:
		enlarge(in[0], out[0])
	case graph.EnlargeGrad:
		enlargeGrad(in[0], out[0])
	case graph.SegSums:
		segSums(op, in[0], in[1], out[0])
	case graph.SegGrad:
		segGrad(op.SegSums, in[0], in[1], in[2], out[0])
	case graph.SegLoss:
		segLoss(op, in[0], in[1], in[2], out[0], out[1])
	case graph.Hardest:
		hardest(op, in[0], in[1], &out[0])
	case graph.AllReduce: // the sum, and the mean, over one device
	case graph.GradNorm:
		gradNorm(op, in, mutated[0])
	case graph.Step:
		step(op, c, mutated)
	case graph.Cut:
		cut(op, in[0], in[1], out[0])
	case graph.TileLoad:
		tileLoad(op, in[0], in[1], out[0])
	case graph.TileBlend:
		tileBlend(op, in, mutated[3], mutated[4])
	case graph.Labels:
		labels(op, in[0], in[1], in[2], &out[0])
	case graph.Warp:
		warp(op, in, out[0], &out[1])
	case graph.Mask:
		mask(op, in[0], in[1], out[0])
	case graph.Blur:
		blur(op, in[0], in[1], out[0])
	case graph.LowRes:
		lowRes(op, in[0], in[1], out[0])
	case graph.Intensity:
		intensity(op, in[0], in[1], out[0])
	case graph.Median:
		median(op, in[0], in[1], out[0])
	case graph.Sharpen:
		sharpen(op, in[0], in[1], out[0])
	case graph.Blank:
		blank(op, in[0], in[1], out[0])
	case graph.Local:
		local(op, in[0], in[1], out[0])
	default:
		panic(fmt.Sprintf("the oracle has no definition of %s", graph.OpName(op)))
	}
	return out, mutated
}

// interpret runs the nodes of p over values, which holds what is known before
// and afterwards what every value became. With store, results are rounded to
// their types as a device stores them; without, it is arithmetic in float64.
func interpret(p *compile.Program, values map[graph.Value]array, store bool) {
	for _, n := range p.Nodes {
		out, mutated := evaluate(nodeCall(p, n, values))
		for i, v := range n.Out {
			values[v] = out[i]
		}
		for i, a := range mutated {
			values[n.In[i]] = a
		}
		if store {
			for _, v := range slices.Concat(n.Out, n.Mutated()) {
				values[v] = stored(values[v])
			}
		}
	}
}

// nodeCall gathers the operands of n.
func nodeCall(p *compile.Program, n graph.Node, values map[graph.Value]array) call {
	c := call{op: n.Op}
	for _, v := range n.In {
		c.in = append(c.in, values[v])
	}
	for _, v := range n.Out {
		c.out = append(c.out, p.Type(v))
	}
	if s, ok := n.Op.(graph.Step); ok {
		for _, h := range s.Halves(n.In) {
			c.half = append(c.half, slices.Index(s.Weights(n.In), p.Info(h).Of))
		}
	}
	return c
}

// stored is a as its type stores it, without error.
func stored(a array) array {
	r := newArray(a.typ)
	for i, x := range a.v {
		r.v[i] = exact(round(a.typ.DType, x.v))
	}
	return r
}

// at is the index of a position in a value of shape s, slowest axis first.
func at(s graph.Shape, pos ...int) int {
	i := 0
	for a, p := range pos {
		i = i*s[a] + p
	}
	return i
}

// voxels calls f for each position of a grid.
func voxels(size [3]int, f func(o [3]int)) {
	for d := range size[0] {
		for h := range size[1] {
			for w := range size[2] {
				f([3]int{d, h, w})
			}
		}
	}
}

// space is the grid of a value [N D H W …].
func space(s graph.Shape) [3]int { return [3]int(s[1:4]) }

// inside says whether o is a voxel of a grid.
func inside(o, size [3]int) bool {
	for a := range o {
		if o[a] < 0 || o[a] >= size[a] {
			return false
		}
	}
	return true
}
