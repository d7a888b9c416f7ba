package cpu

import "github.com/gounet/gounet/core/graph"

// stretch is an axis of n voxels that is made m long by Enlarge.
type stretch struct{ n, m int }

// of is the voxel before position o of the long axis, and the share of the next one.
func (s stretch) of(o int) (i int, f float32) {
	if s.n == 1 {
		return 0, 0
	}
	p := o * (s.n - 1)
	return p / (s.m - 1), float32(float64(p%(s.m-1)) / float64(s.m-1))
}

// onto calls f for the positions that voxel i has a share of, with the share.
func (s stretch) onto(i int, f func(o int, share float32)) {
	if s.n == 1 {
		for o := range s.m {
			f(o, 1)
		}
		return
	}
	for o := max(0, ((i-1)*(s.m-1))/(s.n-1)); o < min(s.m, (i+1)*(s.m-1)/(s.n-1)+1); o++ {
		away := o*(s.n-1) - i*(s.m-1)
		if share := s.m - 1 - max(away, -away); share > 0 {
			f(o, float32(float64(share)/float64(s.m-1)))
		}
	}
}

// enlarged is an Enlarge or its adjoint: x [N D H W C] and y [N D·sD H·sH W·sW C].
type enlarged struct {
	*scope
	x, y tensor
	axes [3]stretch
	c    int
}

func (s *scope) enlarged(x, y graph.Value) *enlarged {
	small, large := s.Type(x).Shape, s.Type(y).Shape
	e := &enlarged{scope: s, x: s.tensor(x), y: s.tensor(y), c: small[4]}
	for a := range e.axes {
		e.axes[a] = stretch{small[a+1], large[a+1]}
	}
	s.pool.reserve(need{worker: 3 * large[3] * e.c})
	return e
}

// enlarge makes y, a row along W at a time.
func (s *scope) enlarge(n graph.Node) []part {
	e := s.enlarged(n.In[0], n.Out[0])
	d, h, w, c := e.axes[0], e.axes[1], e.axes[2], e.c
	rows := s.Type(n.In[0]).Shape[0] * d.m * h.m
	return []part{s.parallel(rows, func(wk *worker, r int) {
		long := w.m * c
		sum, buf, out := wk.scratch[:w.n*c], wk.scratch[long:][:w.n*c], wk.scratch[2*long:][:long]
		clear(sum)
		d0, fd := d.of(r / h.m % d.m)
		h0, fh := h.of(r % h.m)
		for k := range 4 {
			share := pick(k>>1, fd) * pick(k&1, fh)
			if share == 0 {
				continue
			}
			at := ((r/(d.m*h.m)*d.n+d0+k>>1)*h.n + h0 + k&1) * w.n * c
			axpy(sum, e.isa.read(e.x, at, w.n*c, buf), share)
		}
		y := e.isa.target(e.y, r*long, long, out)
		clear(y)
		for o := range w.m {
			i, f := w.of(o)
			axpy(y[o*c:][:c], sum[i*c:][:c], 1-f)
			if f > 0 {
				axpy(y[o*c:][:c], sum[(i+1)*c:][:c], f)
			}
		}
		e.isa.flush(e.y, r*long, y)
	})}
}

// pick is f of the second of two voxels, the rest of the first.
func pick(second int, f float32) float32 {
	if second == 1 {
		return f
	}
	return 1 - f
}

// enlargeGrad makes dx, a row along W at a time.
func (s *scope) enlargeGrad(n graph.Node) []part {
	e := s.enlarged(n.Out[0], n.In[0])
	d, h, w, c := e.axes[0], e.axes[1], e.axes[2], e.c
	rows := s.Type(n.Out[0]).Shape[0] * d.n * h.n
	return []part{s.parallel(rows, func(wk *worker, r int) {
		long := w.m * c
		sum, buf, out := wk.scratch[:long], wk.scratch[long:][:long], wk.scratch[2*long:][:w.n*c]
		clear(sum)
		d.onto(r/h.n%d.n, func(od int, fd float32) {
			h.onto(r%h.n, func(oh int, fh float32) {
				at := ((r/(d.n*h.n)*d.m+od)*h.m + oh) * long
				axpy(sum, e.isa.read(e.y, at, long, buf), fd*fh)
			})
		})
		dx := e.isa.target(e.x, r*w.n*c, w.n*c, out)
		clear(dx)
		for i := range w.n {
			w.onto(i, func(o int, f float32) { axpy(dx[i*c:][:c], sum[o*c:][:c], f) })
		}
		e.isa.flush(e.x, r*w.n*c, dx)
	})}
}
