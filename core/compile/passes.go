package compile

import (
	"slices"

	"github.com/gounet/gounet/core/graph"
)

// dropUnused removes nodes that nobody sees: those whose results are not read,
// kept or placed outside of Scratch, and AllReduce on one device.
func dropUnused(g *graph.Graph, world int) *graph.Graph {
	used := make([]bool, len(g.Values)+1)
	for _, v := range g.Outputs {
		used[v] = true
	}
	keep := make([]bool, len(g.Nodes))
	for i, n := range slices.Backward(g.Nodes) {
		_, reduce := n.Op.(graph.AllReduce)
		keep[i] = len(n.Mutated()) > 0 && !(reduce && world <= 1)
		for _, v := range n.Out {
			keep[i] = keep[i] || used[v] || g.Info(v).Region != graph.Scratch
		}
		if keep[i] {
			for _, v := range n.In {
				used[max(v, 0)] = true
			}
		}
	}
	out := *g
	out.Nodes = nil
	for i, n := range g.Nodes {
		if i == g.Split {
			out.Split = len(out.Nodes)
		}
		if keep[i] {
			out.Nodes = append(out.Nodes, n)
		}
	}
	if g.Split >= len(g.Nodes) {
		out.Split = len(out.Nodes)
	}
	return &out
}

// precision gives every value of type T its storage type. With 16 bits,
// convolutions read copies of their weights in Half, which Step keeps up to date.
func precision(g *graph.Graph, storage graph.DType) *graph.Graph {
	out := *g
	out.Values = slices.Clone(g.Values)
	for i := range out.Values {
		if out.Values[i].Type.DType == graph.T {
			out.Values[i].Type.DType = storage
		}
	}
	if storage == graph.F32 {
		return &out
	}
	half := map[graph.Value]graph.Value{}
	out.Nodes = slices.Clone(g.Nodes)
	for i := range out.Nodes {
		n := &out.Nodes[i]
		r, ok := n.Op.(graph.HalfReader)
		if !ok {
			continue
		}
		w := n.In[r.HalfInput()]
		info := out.Values[w-1]
		if info.Region != graph.Weights {
			continue
		}
		if half[w] == 0 {
			out.Values = append(out.Values, graph.Info{
				Name: "half." + info.Name, Region: graph.Half, Of: w,
				Type: graph.Type{DType: storage, Shape: info.Type.Shape},
			})
			half[w] = graph.Value(len(out.Values))
		}
		n.In = slices.Clone(n.In)
		n.In[r.HalfInput()] = half[w]
	}
	for i := range out.Nodes {
		n := &out.Nodes[i]
		if s, ok := n.Op.(graph.Step); ok {
			n.In = slices.Clone(n.In)
			for _, w := range s.Weights(n.In) {
				if h := half[w]; h != 0 {
					n.In = append(n.In, h)
				}
			}
		}
	}
	return &out
}

// rematerialise rebuilds the results of NormAct in the backward pass rather
// than keep them: one cheap pass over memory for half of the activations.
func rematerialise(g *graph.Graph) *graph.Graph {
	made := map[graph.Value]graph.Node{}
	for _, n := range g.Nodes[:g.Split] {
		if _, ok := n.Op.(graph.NormAct); ok {
			made[n.Out[0]] = n
		}
	}
	out := *g
	out.Values = slices.Clone(g.Values)
	out.Nodes = slices.Clone(g.Nodes[:g.Split])
	last := map[graph.Value]graph.Value{} // rebuilt for the node before this one
	for _, n := range g.Nodes[g.Split:] {
		now := map[graph.Value]graph.Value{}
		n.In = slices.Clone(n.In)
		for i, v := range n.In {
			m, ok := made[v]
			if !ok {
				continue
			}
			again := max(now[v], last[v])
			if again == 0 {
				out.Values = append(out.Values, graph.Info{Name: g.Info(v).Name + "'", Type: out.Values[v-1].Type})
				again = graph.Value(len(out.Values))
				out.Nodes = append(out.Nodes, graph.Node{
					Name: m.Name + "'",
					Op:   graph.NormApply{Slope: m.Op.(graph.NormAct).Slope},
					In:   []graph.Value{m.In[0], m.In[1], m.In[2], m.Out[1]},
					Out:  []graph.Value{again},
				})
			}
			now[v], n.In[i] = again, again
		}
		out.Nodes = append(out.Nodes, n)
		last = now
	}
	return &out
}
