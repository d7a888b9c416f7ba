package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// row of channel c of sample n, of so many numbers.
func (p *planes) row(n, c, length int) []float32 {
	return p.ctl[p.first+(n*p.c+c)*length:][:length]
}

// local makes y.
func (s *scope) local(op graph.Local, n graph.Node) []part {
	p := &intense{planes: s.planes(op.Ctl, n)}
	length := graph.LocalFactors + p.size[0] + p.size[1] + p.size[2]
	s.pool.reserve(need{worker: 2 * p.plane})
	apply := s.parallel(p.n*p.size[0], func(w *worker, unit int) {
		at := unit * p.plane
		x := p.isa.read(p.x, at, p.plane, w.scratch)
		y := p.isa.target(p.y, at, p.plane, w.scratch[p.plane:])
		copy(y, x)
		for c := range p.c {
			p.bump(op, unit/p.size[0], unit%p.size[0], c, length, y)
		}
		p.isa.flush(p.y, at, y)
	})
	if !op.Gamma {
		return []part{apply}
	}
	p.of = make([]moment, p.n*p.c)
	return []part{s.parallel(p.n*p.c, func(w *worker, unit int) {
		m := &p.of[unit]
		*m = moment{low: math.Inf(1), high: math.Inf(-1)}
		if p.row(unit/p.c, unit%p.c, length)[graph.LocalStrength] == 0 {
			return
		}
		for d := range p.size[0] {
			x := p.isa.read(p.x, (unit/p.c*p.size[0]+d)*p.plane, p.plane, w.scratch)
			for i := unit % p.c; i < p.plane; i += p.c {
				m.low, m.high = min(m.low, float64(x[i])), max(m.high, float64(x[i]))
			}
		}
	}), apply}
}

// bump changes channel c of plane d, which is y.
func (p *intense) bump(op graph.Local, n, d, c, length int, y []float32) {
	row := p.row(n, c, length)
	a, from, scale := row[graph.LocalStrength], row[graph.LocalFrom], row[graph.LocalScale]
	var low, span float64
	if op.Gamma {
		m := &p.of[n*p.c+c]
		low, span = m.low, m.high-m.low
	}
	if a == 0 || op.Gamma && span == 0 {
		return
	}
	f := row[graph.LocalFactors:]
	fd, fh, fw := f[d], f[p.size[0]:][:p.size[1]], f[p.size[0]+p.size[1]:]
	i := c
	for _, h := range fh {
		for _, w := range fw {
			k := (fd*h*w - from) * scale
			if op.Gamma {
				at := (float64(y[i]) - low) / span
				y[i] = float32(low + span*(float64(1-k)*at+float64(k)*math.Pow(at, float64(a))))
			} else {
				y[i] += a * k
			}
			i += p.c
		}
	}
}

// blanker is a Blank.
type blanker struct {
	*planes
	op     graph.Blank
	values []float32 // [N C Boxes]
}

// box is the voxels from … to of each axis.
type box struct{ from, to [3]int }

// blank makes y.
func (s *scope) blank(op graph.Blank, n graph.Node) []part {
	p := &blanker{planes: s.planes(op.Ctl, n), op: op}
	p.values = make([]float32, p.n*p.c*op.Boxes)
	s.pool.reserve(need{worker: 2 * p.plane})
	return []part{
		s.parallel(p.n*p.c, p.means),
		s.parallel(p.n*p.size[0], func(w *worker, unit int) {
			at := unit * p.plane
			x := p.isa.read(p.x, at, p.plane, w.scratch)
			y := p.isa.target(p.y, at, p.plane, w.scratch[p.plane:])
			copy(y, x)
			for c := range p.c {
				p.fill(unit/p.size[0]*p.c+c, unit%p.size[0], p.op.Boxes, y)
			}
			p.isa.flush(p.y, at, y)
		}),
	}
}

// box b of a sample's channel.
func (p *blanker) box(channel, b int) (o box) {
	row := p.row(0, channel, p.op.Boxes*graph.BoxLen)[b*graph.BoxLen:]
	for d := range o.from {
		o.from[d] = int(row[graph.BoxFirst+d])
		o.to[d] = o.from[d] + int(row[graph.BoxSize+d])
	}
	return o
}

// fill puts the values of boxes before n into plane d of a sample's channel.
func (p *blanker) fill(channel, d, n int, y []float32) {
	for b := range n {
		o := p.box(channel, b)
		if d < o.from[0] || d >= o.to[0] {
			continue
		}
		v := p.values[channel*p.op.Boxes+b]
		for h := o.from[1]; h < o.to[1]; h++ {
			for w := o.from[2]; w < o.to[2]; w++ {
				y[(h*p.size[2]+w)*p.c+channel%p.c] = v
			}
		}
	}
}

// means makes the values of a sample's channel, in the order of its boxes.
func (p *blanker) means(w *worker, channel int) {
	for b := range p.op.Boxes {
		o := p.box(channel, b)
		sum, count := 0.0, 0
		for d := o.from[0]; d < o.to[0]; d++ {
			at := (channel/p.c*p.size[0] + d) * p.plane
			y := w.scratch[p.plane:][:p.plane]
			copy(y, p.isa.read(p.x, at, p.plane, w.scratch))
			p.fill(channel, d, b, y)
			for h := o.from[1]; h < o.to[1]; h++ {
				for i := o.from[2]; i < o.to[2]; i++ {
					sum += float64(y[(h*p.size[2]+i)*p.c+channel%p.c])
				}
			}
			count += (o.to[1] - o.from[1]) * (o.to[2] - o.from[2])
		}
		p.values[channel*p.op.Boxes+b] = float32(sum / float64(max(count, 1)))
	}
}
