//go:build !predict

package compile

import (
	"slices"

	"github.com/gounet/gounet/core/graph"
)

// shareNorms makes batch norms over the samples of all devices of nodes that each device
// has by itself, with sums over devices between them:
//
//	NormAct      Moments → AllReduce → Merged → NormApply
//	NormActGrad  NormActGradSums → AllReduce → NormActGradInput
//
// It comes behind rematerialise, which knows NormAct. On one device they are batch norms
// like others.
func shareNorms(g *graph.Graph, world, rank int) *graph.Graph {
	if world <= 1 {
		return g
	}
	s := &sharing{out: *g, world: world, rank: rank, shared: map[graph.Value]bool{}, read: map[graph.Value]bool{}}
	s.out.Nodes, s.out.Values = nil, slices.Clone(g.Values)
	for _, v := range g.Outputs {
		s.read[v] = true
	}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			s.read[v] = true
		}
	}
	for i, n := range g.Nodes {
		if i == g.Split {
			s.out.Split = len(s.out.Nodes)
		}
		s.node(n)
	}
	if g.Split >= len(g.Nodes) {
		s.out.Split = len(s.out.Nodes)
	}
	return &s.out
}

// sharing is the state of the pass.
type sharing struct {
	out         graph.Graph
	world, rank int
	shared      map[graph.Value]bool // statistics of all devices
	read        map[graph.Value]bool
}

func (s *sharing) node(n graph.Node) {
	switch op := n.Op.(type) {
	case graph.NormAct:
		if op.Devices {
			s.norm(n, op)
			return
		}
	case graph.NormActGrad:
		if op.Devices {
			s.grad(n, op)
			return
		}
	case graph.Estimate:
		if s.shared[n.In[0]] {
			op.Count *= s.world
			n.Op = op
		}
	}
	s.out.Nodes = append(s.out.Nodes, n)
}

func (s *sharing) norm(n graph.Node, op graph.NormAct) {
	x, gamma, beta, y, stats := n.In[0], n.In[1], n.In[2], n.Out[0], n.Out[1]
	t := s.out.Type(x).Shape
	parts := s.reducible(n.Name+".moments", s.world, t[4], 2)
	s.shared[stats] = true
	s.add(n.Name+".moments", graph.Moments{World: s.world, Rank: s.rank}, []graph.Value{x}, parts)
	s.add(n.Name+".reduce", graph.AllReduce{}, []graph.Value{parts})
	s.add(n.Name+".merged", graph.Merged{Eps: op.Eps, N: t[0]}, []graph.Value{parts}, stats)
	s.add(n.Name, graph.NormApply{Slope: op.Slope}, []graph.Value{x, gamma, beta, stats}, y)
}

func (s *sharing) grad(n graph.Node, op graph.NormActGrad) {
	t := s.out.Type(n.In[1]).Shape
	sums := s.reducible(n.Name+".sums", t[0], t[4], 2)
	s.add(n.Name+".sums", graph.NormActGradSums{Slope: op.Slope}, n.In, n.Out[1], n.Out[2], sums)
	if !s.read[n.Out[0]] {
		return
	}
	s.add(n.Name+".reduce", graph.AllReduce{}, []graph.Value{sums})
	s.add(n.Name, graph.NormActGradInput{Slope: op.Slope, Count: s.world * t.Elems() / t[4]}, append(slices.Clone(n.In), sums), n.Out[0])
}

// reducible is a new value in whose place sums over devices may be written.
func (s *sharing) reducible(name string, shape ...int) graph.Value {
	s.out.Values = append(s.out.Values, graph.Info{Name: name, Region: graph.IO, Type: graph.Type{DType: graph.F32, Shape: shape}})
	return graph.Value(len(s.out.Values))
}

func (s *sharing) add(name string, op graph.Op, in []graph.Value, out ...graph.Value) {
	s.out.Nodes = append(s.out.Nodes, graph.Node{Name: name, Op: op, In: in, Out: out})
}
