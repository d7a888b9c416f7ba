package cuda

import "github.com/gounet/gounet/core/graph"

// convolved are the constants of both grids of a convolution.
func convolved(x, y graph.Shape, kernel, stride []int) consts {
	return merged(axes("", x), axes("O", y), triple("K", kernel), triple("S", stride), consts{"CO": y[4]})
}

// gemmOf is the matrix product of a convolution, Conv3D or UpConv3D; false where tensor
// cores have none.
func (s *scope) gemmOf(n graph.Node) (g gemm, is bool) {
	switch op := n.Op.(type) {
	case graph.Conv3D:
		k := s.Type(n.In[1]).Shape
		g = gemm{y: n.Out[0], x: n.In[0], w: n.In[1], b: n.In[2], x2: input(n, 3), stride: op.Stride, byInput: true, wRows: k[3], wCols: k[4]}
		g.kernel, g.pad = [3]int(k[:3]), half3(k)
	case graph.UpConv3D:
		k := s.Type(n.In[1]).Shape
		g = gemm{
			y: n.Out[0], x: n.In[0], w: n.In[1], b: n.In[2], kernel: [3]int(k[:3]), stride: [3]int(k[:3]),
			scatter: true, byInput: true, wRows: k[3], wCols: k[4],
		}
	default:
		return g, false
	}
	return g, s.multiplies(g.y, g.w)
}

// outersOf are the products of a gradient of weights.
func (s *scope) outersOf(n graph.Node) (list []outer) {
	switch op := n.Op.(type) {
	case graph.Conv3DGradWeight:
		dw, first := s.Type(n.Out[0]).Shape, 0
		for _, x := range n.In[1:] {
			if x != 0 {
				list = append(list, outer{
					dense: n.In[0], reached: x, kernel: op.Kernel, stride: op.Stride, pad: half3(op.Kernel[:]), ci: dw[3], co: dw[4], c0: first,
				})
				first += s.channels(x)
			}
		}
	case graph.UpConv3DGradWeight:
		dw := s.Type(n.Out[0]).Shape
		list = []outer{{dense: n.In[1], reached: n.In[0], kernel: op.Stride, stride: op.Stride, turned: true, ci: dw[3], co: dw[4]}}
	}
	for i, o := range list {
		list[i].outerCut = s.outerCuts(o)[0]
	}
	return list
}

func (s *scope) conv3D(op graph.Conv3D, n graph.Node) error {
	x, w, b, x2 := n.In[0], n.In[1], n.In[2], input(n, 3)
	if g, is := s.gemmOf(n); is {
		if ok, err := s.matrices(g); ok || err != nil {
			return err
		}
	}
	c := convolved(s.Type(x).Shape, s.Type(n.Out[0]).Shape, s.Type(w).Shape, op.Stride[:])
	c["C1"], c["C2"], c["HAS_B"], c["TW"] = s.channels(x), s.channels(x2), b != 0, s.Type(w).DType
	return s.elements("conv3d", n.Out[0], c, s.value(x), s.value(w), s.value(b), s.value(x2))
}

func (s *scope) conv3DGradInput(op graph.Conv3DGradInput, n graph.Node) error {
	dy, w := n.In[0], n.In[1]
	first := 0
	for _, dx := range n.Out {
		t, k := s.Type(dx).Shape, s.Type(w).Shape
		if s.multiplies(dx, w) {
			g := gemm{y: dx, x: dy, w: w, stride: op.Stride, scatter: true, wRows: k[3], wCols: k[4], wFirst: first}
			g.kernel, g.pad = [3]int(k[:3]), half3(k)
			if ok, err := s.matrices(g); ok || err != nil {
				if err != nil {
					return err
				}
				first += t[4]
				continue
			}
		}
		c := convolved(t, s.Type(dy).Shape, s.Type(w).Shape, op.Stride[:])
		c["C"], c["C0"], c["CI"], c["TW"] = t[4], first, k[3], s.Type(w).DType
		if err := s.elements("conv3d_grad_input", dx, c, s.value(dy), s.value(w)); err != nil {
			return err
		}
		first += t[4]
	}
	return nil
}

func (s *scope) conv3DGradWeight(op graph.Conv3DGradWeight, n graph.Node) error {
	ok, err := s.outers(n.Out[0], s.outersOf(n))
	if !ok {
		err = s.simpleGradWeight(op, n)
	}
	if err != nil {
		return err
	}
	return s.gradBias(n.Out[1], n.In[0])
}

// simpleGradWeight adds a thread for each weight and part.
func (s *scope) simpleGradWeight(op graph.Conv3DGradWeight, n graph.Node) error {
	dy, dw := n.In[0], s.Type(n.Out[0]).Shape
	y := s.Type(dy).Shape
	parts := s.splits(y[0]*y[1]*y[2], dw.Elems())
	sums := s.value(n.Out[0])
	if parts > 1 {
		sums = s.floats(parts * dw.Elems())
	}
	first := 0
	for _, x := range n.In[1:] {
		if x == 0 {
			continue
		}
		t := s.Type(x).Shape
		c := convolved(t, y, op.Kernel[:], op.Stride[:])
		c["N"], c["C"], c["C0"], c["CI"], c["SPLITS"], c["T"] = t[0], t[4], first, dw[3], parts, s.Type(x).DType
		count := parts * op.Kernel[0] * op.Kernel[1] * op.Kernel[2] * t[4] * y[4]
		if err := s.each("conv3d_grad_weight", count, c, sums, s.value(dy), s.value(x)); err != nil {
			return err
		}
		first += t[4]
	}
	if parts == 1 {
		return nil
	}
	return s.fold(s.value(n.Out[0]), sums, parts, dw.Elems())
}

// gradBias adds the kernels of db = Σ dy over all voxels.
func (s *scope) gradBias(db, dy graph.Value) error {
	if _, ok := s.Place(db); !ok {
		return nil // nobody reads it
	}
	t := s.Type(dy).Shape
	name, across := s.vectors("channel_sums", dy)
	rows := t.Elems() / t[4]
	parts := s.splits(rows, across)
	sums := s.floats(parts * t[4])
	c := consts{"ROWS": rows, "C": t[4], "SPLITS": parts, "T": s.Type(dy).DType}
	if err := s.each(name, parts*across, c, sums, s.value(dy)); err != nil {
		return err
	}
	return s.fold(s.value(db), sums, parts, t[4])
}

// upConvolved are the constants of a transposed convolution of x.
func upConvolved(x graph.Shape, stride []int, co int) consts {
	return merged(axes("", x), triple("S", stride), consts{"CI": x[4], "CO": co})
}

func (s *scope) upConv3D(n graph.Node) error {
	x, w, b := n.In[0], n.In[1], n.In[2]
	if g, is := s.gemmOf(n); is {
		if ok, err := s.matrices(g); ok || err != nil {
			return err
		}
	}
	c := upConvolved(s.Type(x).Shape, s.Type(w).Shape, s.channels(w))
	c["HAS_B"], c["TW"] = b != 0, s.Type(w).DType
	return s.elements("upconv3d", n.Out[0], c, s.value(x), s.value(w), s.value(b))
}

func (s *scope) upConv3DGradInput(n graph.Node) error {
	dy, w := n.In[0], n.In[1]
	if k := s.Type(w).Shape; s.multiplies(n.Out[0], w) {
		g := gemm{y: n.Out[0], x: dy, w: w, kernel: [3]int(k[:3]), stride: [3]int(k[:3]), wRows: k[3], wCols: k[4]}
		if ok, err := s.matrices(g); ok || err != nil {
			return err
		}
	}
	c := upConvolved(s.Type(n.Out[0]).Shape, s.Type(w).Shape, s.channels(w))
	c["TW"] = s.Type(w).DType
	return s.elements("upconv3d_grad_input", n.Out[0], c, s.value(dy), s.value(w))
}

func (s *scope) upConv3DGradWeight(op graph.UpConv3DGradWeight, n graph.Node) error {
	dy, x := n.In[0], n.In[1]
	t, dw := s.Type(x).Shape, s.Type(n.Out[0]).Shape
	if ok, err := s.outers(n.Out[0], s.outersOf(n)); ok {
		if err != nil {
			return err
		}
		return s.gradBias(n.Out[1], dy)
	}
	parts := s.splits(t[0]*t[1]*t[2], dw.Elems())
	sums := s.value(n.Out[0])
	if parts > 1 {
		sums = s.floats(parts * dw.Elems())
	}
	c := upConvolved(t, op.Stride[:], dw[4])
	c["N"], c["SPLITS"], c["T"] = t[0], parts, s.Type(x).DType
	if err := s.each("upconv3d_grad_weight", parts*dw.Elems(), c, sums, s.value(dy), s.value(x)); err != nil {
		return err
	}
	if parts > 1 {
		if err := s.fold(s.value(n.Out[0]), sums, parts, dw.Elems()); err != nil {
			return err
		}
	}
	return s.gradBias(n.Out[1], dy)
}
