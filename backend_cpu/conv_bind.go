package cpu

import "github.com/gounet/gounet/core/graph"

// convShapeOf is the shapes of a convolution of x and x2, which may be none.
func convShapeOf(x, x2 graph.Shape, co int, kernel, stride [3]int) convShape {
	c := convShape{N: x[0], In: [3]int(x[1:4]), C1: x[4], Co: co, Kernel: kernel, Stride: stride}
	if x2 != nil {
		c.C2 = x2[4]
	}
	return c
}

// input is input i of n, or none.
func input(n graph.Node, i int) graph.Value {
	if i < len(n.In) {
		return n.In[i]
	}
	return 0
}

func (s *scope) conv3D(op graph.Conv3D, n graph.Node) []part {
	w := s.Type(n.In[1]).Shape
	shape := convShapeOf(s.Type(n.In[0]).Shape, s.Type(input(n, 3)).Shape, w[4], [3]int(w[:3]), op.Stride)
	x, x2, wt, b, y := s.tensor(n.In[0]), s.tensor(input(n, 3)), s.tensor(n.In[1]), s.tensor(n.In[2]), s.tensor(n.Out[0])
	c := newConv(shape, s.isa.of(x.dtype, wt.dtype), s.pool, forward)
	return []part{serial(func() { c.forward(x, x2, wt, b, y) })}
}

func (s *scope) conv3DGradInput(op graph.Conv3DGradInput, n graph.Node) []part {
	w := s.Type(n.In[1]).Shape
	var x2 graph.Shape
	var dx2 tensor
	if len(op.X) > 1 {
		x2, dx2 = op.X[1], s.tensor(n.Out[1])
	}
	dy, wt, dx := s.tensor(n.In[0]), s.tensor(n.In[1]), s.tensor(n.Out[0])
	shape := convShapeOf(op.X[0], x2, w[4], [3]int(w[:3]), op.Stride)
	c := newConv(shape, s.isa.of(dy.dtype, wt.dtype), s.pool, gradInput)
	return []part{serial(func() { c.gradInput(dy, wt, dx, dx2) })}
}

func (s *scope) conv3DGradWeight(op graph.Conv3DGradWeight, n graph.Node) []part {
	dy, x, x2 := n.In[0], n.In[1], input(n, 2)
	shape := convShapeOf(s.Type(x).Shape, s.Type(x2).Shape, s.Type(dy).Shape[4], op.Kernel, op.Stride)
	dyt, xt, x2t, dw, db := s.tensor(dy), s.tensor(x), s.tensor(x2), s.f32(n.Out[0]), s.f32(n.Out[1])
	c := newConv(shape, s.isa.of(dyt.dtype, xt.dtype), s.pool, gradWeight)
	return []part{serial(func() { c.gradWeight(dyt, xt, x2t, dw, db) })}
}

// upShapeOf is the shapes of a transposed convolution of x by w.
func upShapeOf(x graph.Shape, stride [3]int, co int) upShape {
	return upShape{N: x[0], In: [3]int(x[1:4]), Ci: x[4], Co: co, Stride: stride}
}

func (s *scope) upConv3D(n graph.Node) []part {
	w := s.Type(n.In[1]).Shape
	x, wt, b, y := s.tensor(n.In[0]), s.tensor(n.In[1]), s.tensor(n.In[2]), s.tensor(n.Out[0])
	shape := upShapeOf(s.Type(n.In[0]).Shape, [3]int(w[:3]), w[4])
	u := newUpConv(shape, s.isa.of(x.dtype, wt.dtype), s.pool, forward)
	return []part{serial(func() { u.forward(x, wt, b, y) })}
}

func (s *scope) upConv3DGradInput(n graph.Node) []part {
	w := s.Type(n.In[1]).Shape
	dy, wt, dx := s.tensor(n.In[0]), s.tensor(n.In[1]), s.tensor(n.Out[0])
	shape := upShapeOf(s.Type(n.Out[0]).Shape, [3]int(w[:3]), w[4])
	u := newUpConv(shape, s.isa.of(dy.dtype, wt.dtype), s.pool, gradInput)
	return []part{serial(func() { u.gradInput(dy, wt, dx) })}
}

func (s *scope) upConv3DGradWeight(n graph.Node) []part {
	w := s.Type(n.Out[0]).Shape
	dy, x, dw, db := s.tensor(n.In[0]), s.tensor(n.In[1]), s.f32(n.Out[0]), s.f32(n.Out[1])
	shape := upShapeOf(s.Type(n.In[1]).Shape, [3]int(w[:3]), w[4])
	u := newUpConv(shape, s.isa.of(dy.dtype, x.dtype), s.pool, gradWeight)
	return []part{serial(func() { u.gradWeight(dy, x, dw, db) })}
}
