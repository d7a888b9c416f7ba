package graph

// Cost is what a node has to do at least: floating-point operations (a
// multiply-add counts two) and bytes read and written, each value once. It is
// what rooflines are drawn from.
type Cost struct{ FLOP, Bytes int64 }

// Cost of n. FLOPs are counted for convolutions, which dominate a network;
// taps that fall into the padding count too, as is usual.
func (g *Graph) Cost(n Node) Cost {
	var c Cost
	for _, v := range n.In {
		c.Bytes += g.Type(v).Bytes()
	}
	for _, v := range n.Out {
		c.Bytes += g.Type(v).Bytes()
	}
	for _, v := range n.Mutated() {
		c.Bytes += g.Type(v).Bytes()
	}
	// Multiply-adds: voxels of the coarser side times the weights.
	mac := func(y, w Shape) int64 { return 2 * int64(y.Elems()/y[4]) * int64(w.Elems()) }
	switch n.Op.(type) {
	case Conv3D:
		c.FLOP = mac(g.Type(n.Out[0]).Shape, g.Type(n.In[1]).Shape)
	case Conv3DGradInput:
		c.FLOP = mac(g.Type(n.In[0]).Shape, g.Type(n.In[1]).Shape)
	case Conv3DGradWeight:
		c.FLOP = mac(g.Type(n.In[0]).Shape, g.Type(n.Out[0]).Shape)
	case UpConv3D:
		c.FLOP = mac(g.Type(n.In[0]).Shape, g.Type(n.In[1]).Shape)
	case UpConv3DGradInput:
		c.FLOP = mac(g.Type(n.Out[0]).Shape, g.Type(n.In[1]).Shape)
	case UpConv3DGradWeight:
		c.FLOP = mac(g.Type(n.In[1]).Shape, g.Type(n.Out[0]).Shape)
	}
	return c
}
