package backendtest

import "github.com/gounet/gounet/core/graph"

// bilinear is a convolution or a transposed one: every output is a sum of
// products of an input and a weight. Its derivatives are read off the same
// products; a test compares them with central differences.
type bilinear struct {
	xs   []graph.Shape // one or two inputs, side by side in C
	w, y graph.Shape
	// taps calls f for each position k of the kernel (its row of weights) and the
	// voxel i of the input that output voxel o reads through it.
	taps func(o [3]int, f func(k int, i [3]int))
}

// conv: y[o] reads x[o·s + k − (K−1)/2].
func conv(stride [3]int, xs []graph.Shape, w, y graph.Shape) bilinear {
	size, kernel := space(xs[0]), [3]int(w[:3])
	return bilinear{xs, w, y, func(o [3]int, f func(int, [3]int)) {
		voxels(kernel, func(k [3]int) {
			var i [3]int
			for a := range i {
				i[a] = o[a]*stride[a] + k[a] - (kernel[a]-1)/2
			}
			if inside(i, size) {
				f(at(w, k[0], k[1], k[2]), i)
			}
		})
	}}
}

// upConv: y[o] reads x[⌊o/s⌋] through the weights of o mod s.
func upConv(x, w, y graph.Shape) bilinear {
	return bilinear{[]graph.Shape{x}, w, y, func(o [3]int, f func(int, [3]int)) {
		s := w
		f(at(w, o[0]%s[0], o[1]%s[1], o[2]%s[2]), [3]int{o[0] / s[0], o[1] / s[1], o[2] / s[2]})
	}}
}

// products calls f once for each output and run of products: C channels of
// input j from xi on meet the weights wi, wi+Co, ….
func (c bilinear) products(f func(yi, j, xi, wi, channels int)) {
	co := c.y[4]
	for n := range c.y[0] {
		voxels(space(c.y), func(o [3]int) {
			row := at(c.y, n, o[0], o[1], o[2]) * co
			c.taps(o, func(k int, i [3]int) {
				first := k * c.w[3]
				for j, x := range c.xs {
					xi := at(x, n, i[0], i[1], i[2]) * x[4]
					for k := range co {
						f(row+k, j, xi, first*co+k, x[4])
					}
					first += x[4]
				}
			})
		})
	}
}

func (c bilinear) forward(xs [][]num, w, b, y []num) {
	co := c.y[4]
	sums := make([]sum, len(y))
	for i := range sums {
		sums[i].add(b[i%co])
	}
	c.products(func(yi, j, xi, wi, channels int) {
		for ci := range channels {
			sums[yi].mul(xs[j][xi+ci], w[wi+ci*co])
		}
	})
	finish(sums, y)
}

func (c bilinear) gradInput(dy, w []num, dxs [][]num) {
	co := c.y[4]
	sums := make([][]sum, len(dxs))
	for j := range dxs {
		sums[j] = make([]sum, len(dxs[j]))
	}
	c.products(func(yi, j, xi, wi, channels int) {
		for ci := range channels {
			sums[j][xi+ci].mul(dy[yi], w[wi+ci*co])
		}
	})
	for j := range dxs {
		finish(sums[j], dxs[j])
	}
}

func (c bilinear) gradWeight(dy []num, xs [][]num, dw, db []num) {
	co := c.y[4]
	sums, bias := make([]sum, len(dw)), make([]sum, len(db))
	for i, d := range dy {
		bias[i%co].add(d)
	}
	c.products(func(yi, j, xi, wi, channels int) {
		for ci := range channels {
			sums[wi+ci*co].mul(dy[yi], xs[j][xi+ci])
		}
	})
	finish(sums, dw)
	finish(bias, db)
}

func finish(sums []sum, to []num) {
	for i, s := range sums {
		to[i] = s.num()
	}
}

// evaluateConv computes the six ops of convolutions.
func evaluateConv(c call, out []array) {
	in := c.in
	shapes := func(as ...array) (s []graph.Shape, v [][]num) {
		for _, a := range as {
			if !a.none() {
				s, v = append(s, a.typ.Shape), append(v, a.v)
			}
		}
		return s, v
	}
	switch op := c.op.(type) {
	case graph.Conv3D:
		s, v := shapes(append([]array{in[0]}, in[3:]...)...)
		conv(op.Stride, s, in[1].typ.Shape, out[0].typ.Shape).forward(v, in[1].v, in[2].v, out[0].v)
	case graph.Conv3DGradInput:
		s, v := shapes(out...)
		conv(op.Stride, s, in[1].typ.Shape, in[0].typ.Shape).gradInput(in[0].v, in[1].v, v)
	case graph.Conv3DGradWeight:
		s, v := shapes(in[1:]...)
		conv(op.Stride, s, out[0].typ.Shape, in[0].typ.Shape).gradWeight(in[0].v, v, out[0].v, out[1].v)
	case graph.UpConv3D:
		upConv(in[0].typ.Shape, in[1].typ.Shape, out[0].typ.Shape).forward([][]num{in[0].v}, in[1].v, in[2].v, out[0].v)
	case graph.UpConv3DGradInput:
		upConv(out[0].typ.Shape, in[1].typ.Shape, in[0].typ.Shape).gradInput(in[0].v, in[1].v, [][]num{out[0].v})
	case graph.UpConv3DGradWeight:
		upConv(in[1].typ.Shape, out[0].typ.Shape, in[0].typ.Shape).gradWeight(in[0].v, [][]num{in[1].v}, out[0].v, out[1].v)
	}
}

// evaluateElementwise computes the ops of residual blocks.
func evaluateElementwise(c call, out []array) {
	in, y := c.in, out[0]
	switch op := c.op.(type) {
	case graph.Add:
		for i := range y.v {
			y.v[i] = total(in[0].v[i], in[1].v[i])
		}
	case graph.AddAct:
		for i := range y.v {
			y.v[i] = total(in[0].v[i], in[1].v[i]).leaky(op.Slope)
		}
	case graph.ActGrad:
		for i := range y.v {
			y.v[i] = slopeOf(in[1].v[i], in[0].v[i], op.Slope)
		}
	case graph.AvgPool:
		pool(op.Stride, in[0].typ.Shape, y.typ.Shape, func(window float64, xi []int, yi int) {
			var s sum
			for _, i := range xi {
				s.add(in[0].v[i])
			}
			y.v[yi] = s.num().over(exact(window))
		})
	case graph.AvgPoolGrad:
		pool(op.Stride, y.typ.Shape, in[0].typ.Shape, func(window float64, xi []int, yi int) {
			for _, i := range xi {
				y.v[i] = in[0].v[yi].over(exact(window))
			}
		})
	}
}

// slopeOf is d times the derivative of a leaky ReLU at a, which has the sign of
// its result.
func slopeOf(a, d num, slope float32) num {
	r := d
	if a.v < 0 {
		r = d.times(exact(float64(slope)))
	}
	if a.unsure() {
		return r.within(max(1-float64(slope), float64(slope)-1) * max(d.v, -d.v))
	}
	return r
}

// pool calls f for each element of y with the elements of x in its window.
func pool(s [3]int, x, y graph.Shape, f func(window float64, xi []int, yi int)) {
	for n := range y[0] {
		voxels(space(y), func(o [3]int) {
			for c := range y[4] {
				var xi []int
				voxels(s, func(k [3]int) {
					xi = append(xi, at(x, n, o[0]*s[0]+k[0], o[1]*s[1]+k[1], o[2]*s[2]+k[2], c))
				})
				f(float64(len(xi)), xi, at(y, n, o[0], o[1], o[2], c))
			}
		})
	}
}
