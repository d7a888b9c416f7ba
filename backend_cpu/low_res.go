package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// lowRes makes y: voxels that m coarse ones of each axis, taken from x, lead to.
func (s *scope) lowRes(op graph.LowRes, n graph.Node) []part {
	p := s.planes(op.Ctl, n)
	// One table of positions a sample and channel, made before the planes are.
	length := p.size[0] + p.size[1] + p.size[2]
	tables := make([]between, p.n*p.c*length)
	s.pool.reserve(need{worker: 5 * p.plane})
	return []part{
		s.parallel(p.n*p.c, func(_ *worker, unit int) {
			t := tables[unit*length:]
			scale := float64(p.ctl[p.first+unit])
			for a, size := range p.size {
				m := max(1, int(math.Round(scale*float64(size))))
				if op.Keep[a] {
					m = size
				}
				coarse(t[:size], m)
				t = t[size:]
			}
		}),
		s.parallel(p.n*p.size[0], func(w *worker, unit int) {
			nn := unit / p.size[0]
			if p.idle(nn, 1) {
				p.copyPlane(unit)
				return
			}
			for c := range p.c {
				p.lowResChannel(w, unit, c, tables[(nn*p.c+c)*length:][:length])
			}
			y := p.isa.target(p.y, unit*p.plane, p.plane, w.scratch)
			copy(y, w.scratch[:p.plane])
			p.isa.flush(p.y, unit*p.plane, y)
		}),
	}
}

// coarse fills the positions of an axis: indices of x, where the m coarse voxels
// come from.
func coarse(t []between, m int) {
	size := len(t)
	for o := range t {
		b := halfPixel(o, m, size)
		t[o] = between{(2*b.i0 + 1) * size / (2 * m), (2*b.i1 + 1) * size / (2 * m), b.f}
	}
}

// lowResChannel makes channel c of a plane in a worker's memory.
func (p *planes) lowResChannel(w *worker, unit, c int, table []between) {
	out := w.scratch[:p.plane]
	n, d := unit/p.size[0], unit%p.size[0]
	at := table[d]
	b0, b1 := w.scratch[p.plane:][:p.plane], w.scratch[2*p.plane:][:p.plane]
	low := p.isa.read(p.x, (n*p.size[0]+at.i0)*p.plane, p.plane, b0)
	high := p.isa.read(p.x, (n*p.size[0]+at.i1)*p.plane, p.plane, b1)
	if scale := p.parameter(n, c); scale == 0 || scale == 1 {
		own := p.isa.read(p.x, unit*p.plane, p.plane, b0)
		for i := c; i < p.plane; i += p.c {
			out[i] = own[i]
		}
		return
	}
	hs, ws := table[p.size[0]:][:p.size[1]], table[p.size[0]+p.size[1]:]
	for h, bh := range hs {
		r0, r1 := bh.i0*p.size[2], bh.i1*p.size[2]
		for i, bw := range ws {
			q := [4]int{(r0+bw.i0)*p.c + c, (r0+bw.i1)*p.c + c, (r1+bw.i0)*p.c + c, (r1+bw.i1)*p.c + c}
			z0 := bilinear(low[q[0]], low[q[1]], low[q[2]], low[q[3]], bh.f, bw.f)
			z1 := bilinear(high[q[0]], high[q[1]], high[q[2]], high[q[3]], bh.f, bw.f)
			out[(h*p.size[2]+i)*p.c+c] = (1-at.f)*z0 + at.f*z1
		}
	}
}

func bilinear(v00, v01, v10, v11, fh, fw float32) float32 {
	return (1-fh)*((1-fw)*v00+fw*v01) + fh*((1-fw)*v10+fw*v11)
}
