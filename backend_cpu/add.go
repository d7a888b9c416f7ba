package cpu

import (
	"unsafe"

	"github.com/gounet/gounet/core/graph"
)

// add makes y = leaky(a + b); slope 1 is the sum itself.
func (s *scope) add(slope float32, n graph.Node) []part {
	a, b, y := s.tensor(n.In[0]), s.tensor(n.In[1]), s.tensor(n.Out[0])
	return s.pointwise(a, b, y, s.Type(n.Out[0]).Shape.Elems(), slope, leakyAdd,
		func(k *sweeps) func(y, a, b unsafe.Pointer, vectors int, slope float32) { return k.leakyAdd })
}

// actGrad makes dx of dy and y.
func (s *scope) actGrad(op graph.ActGrad, n graph.Node) []part {
	dy, y, dx := s.tensor(n.In[0]), s.tensor(n.In[1]), s.tensor(n.Out[0])
	return s.pointwise(dy, y, dx, s.Type(n.Out[0]).Shape.Elems(), op.Slope, leakyGrad,
		func(k *sweeps) func(y, a, b unsafe.Pointer, vectors int, slope float32) { return k.leakyGrad })
}

// pointwise computes n elements of y from those of a and b, which have one type: vectors
// in place where there are kernels for it, what is left by rest in f32.
func (s *scope) pointwise(a, b, y tensor, n int, slope float32, rest func(y, a, b []float32, slope float32),
	kernel func(k *sweeps) func(y, a, b unsafe.Pointer, vectors int, slope float32),
) []part {
	run, lanes := kernel(&s.flat.single), s.flat.lanes
	direct := y.dtype == graph.F32
	if y.dtype == graph.BF16 && s.flat.halves != nil {
		run, direct = kernel(s.flat.halves), true
	}
	s.pool.reserve(need{worker: 2 * unitFloats})
	return []part{s.parallel(ceil(n, unitFloats), func(w *worker, unit int) {
		off := unit * unitFloats
		length := min(unitFloats, n-off)
		done := 0
		if direct && length >= lanes {
			done = length / lanes * lanes
			run(y.start(off), a.start(off), b.start(off), done/lanes, slope)
		}
		if done == length {
			return
		}
		off, length = off+done, length-done
		bufA, bufB := w.scratch[:unitFloats], w.scratch[unitFloats:][:unitFloats]
		out := s.isa.target(y, off, length, bufA)
		rest(out, s.isa.read(a, off, length, bufA), s.isa.read(b, off, length, bufB), slope)
		s.isa.flush(y, off, out)
	})}
}

// pool3 is the rows of an average pooling: x [N D H W C], y [N D/sD H/sH W/sW C].
type pool3 struct {
	*scope
	stride [3]int
	out    graph.Shape
	row    int // elements of a row of x
	x, y   tensor
	scale  float32
}

func (s *scope) pool3(stride [3]int, x, y graph.Value) *pool3 {
	t := s.Type(x).Shape
	p := &pool3{
		scope: s, stride: stride, out: s.Type(y).Shape, row: t[3] * t[4], x: s.tensor(x), y: s.tensor(y),
		scale: 1 / float32(stride[0]*stride[1]*stride[2]),
	}
	s.pool.reserve(need{worker: 3 * p.row})
	return p
}

// rows is the number of rows of y; at is where the row of x with tap kd, kh of
// row r begins.
func (p *pool3) rows() int { return p.out[0] * p.out[1] * p.out[2] }

func (p *pool3) at(r, kd, kh int) int {
	nd, h := r/p.out[2], r%p.out[2]
	return ((nd*p.stride[0]+kd)*p.out[2]*p.stride[1] + h*p.stride[1] + kh) * p.row
}

// avgPool makes y, the means over windows.
func (s *scope) avgPool(stride [3]int, n graph.Node) []part {
	p := s.pool3(stride, n.In[0], n.Out[0])
	c, width := p.out[4], p.out[3]
	return []part{s.parallel(p.rows(), func(w *worker, r int) {
		sum, buf, out := w.scratch[:p.row], w.scratch[p.row:][:p.row], w.scratch[2*p.row:][:width*c]
		clear(sum)
		for kd := range stride[0] {
			for kh := range stride[1] {
				p.flat.addScaled(sum, p.isa.read(p.x, p.at(r, kd, kh), p.row, buf), 1)
			}
		}
		y := p.isa.target(p.y, r*width*c, width*c, out)
		clear(y)
		for i := range width {
			for kw := range stride[2] {
				axpy(y[i*c:][:c], sum[(i*stride[2]+kw)*c:][:c], p.scale)
			}
		}
		p.isa.flush(p.y, r*width*c, y)
	})}
}

// avgPoolGrad makes dx, dy spread over the windows.
func (s *scope) avgPoolGrad(stride [3]int, n graph.Node) []part {
	p := s.pool3(stride, n.Out[0], n.In[0])
	c, width := p.out[4], p.out[3]
	return []part{s.parallel(p.rows(), func(w *worker, r int) {
		spread, buf := w.scratch[:p.row], w.scratch[p.row:][:width*c]
		dy := p.isa.read(p.y, r*width*c, width*c, buf)
		clear(spread)
		for i := range width {
			for kw := range stride[2] {
				axpy(spread[(i*stride[2]+kw)*c:][:c], dy[i*c:][:c], p.scale)
			}
		}
		for kd := range stride[0] {
			for kh := range stride[1] {
				p.isa.put(p.x, p.at(r, kd, kh), p.row, spread, p.row, 1, p.row)
			}
		}
	})}
}
