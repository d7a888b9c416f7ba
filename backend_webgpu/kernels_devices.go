//go:build !predict

package webgpu

import (
	"errors"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// several adds the kernels of norms over several devices.
func (s *scope) several(n graph.Node) error {
	switch op := n.Op.(type) {
	case graph.Moments:
		return s.momentsRow(op, n)
	case graph.Merged:
		return s.merged(op, n)
	case graph.NormActGradSums:
		return s.normGradSums(op.Slope, n.In, s.value(n.Out[2]), s.value(n.Out[0]), s.value(n.Out[1]))
	case graph.NormActGradInput:
		return s.normActGradInput(op, n)
	}
	return errors.New("the webgpu backend does not have this op")
}

// momentsRow is Moments.
func (s *scope) momentsRow(op graph.Moments, n graph.Node) error {
	t := s.Type(n.In[0]).Shape
	whole, count := s.partial(int64(4*t[0]*t[4])), op.World*t[4]
	if err := s.moments(n.In[0], whole, false, 0); err != nil {
		return err
	}
	c := shaders.Consts{"N": t[0], "C": t[4], "RANK": op.Rank, "COUNT": count}
	return s.each("moments_row", count, c, s.value(n.Out[0]), whole)
}

func (s *scope) merged(op graph.Merged, n graph.Node) error {
	t := s.Type(n.In[0]).Shape
	c := shaders.Consts{"C": t[1], "WORLD": t[0], "COUNT": op.N * t[1], "EPS": op.Eps}
	return s.each("merged", op.N*t[1], c, s.value(n.Out[0]), s.value(n.In[0]))
}

func (s *scope) normActGradInput(op graph.NormActGradInput, n graph.Node) error {
	samples := s.Type(n.In[1]).Shape[0]
	return s.normGrad(op.Slope, graph.Pool{Batch: true}, op.Count/samples, n, s.value(n.In[5]))
}
