package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// intense is an Intensity. Moments are those of a sample's channel, made of the
// partial sums of its planes in order.
type intense struct {
	*planes
	op    graph.Intensity
	of    []moment // [N C]: of x
	power []moment // [N C]: of the powers of Gamma, which lie in shared memory
	parts []moment // [N D C]
}

// moment is what a transform needs to know of a channel.
type moment struct{ sum, mean, square, low, high float64 }

// intensity makes y.
func (s *scope) intensity(op graph.Intensity, n graph.Node) []part {
	p := &intense{planes: s.planes(op.Ctl, n), op: op}
	planes := p.n * p.size[0]
	s.pool.reserve(need{worker: 2*p.plane + 2*s.flat.lanes})
	apply := s.parallel(planes, p.apply)
	if op.Kind < graph.Contrast {
		return []part{apply}
	}
	p.of, p.parts = make([]moment, p.n*p.c), make([]moment, planes*p.c)
	list := p.measure(p.of, func(w *worker, unit int) []float32 {
		return p.isa.read(p.x, unit*p.plane, p.plane, w.scratch)
	})
	if op.Kind >= graph.Gamma {
		p.power = make([]moment, p.n*p.c)
		s.pool.reserve(need{shared: planes * p.plane})
		list = append(list, s.parallel(planes, p.raise))
		list = append(list, p.measure(p.power, func(_ *worker, unit int) []float32 { return p.powers(unit) })...)
	}
	return append(list, apply)
}

// powers is a plane of them.
func (p *intense) powers(unit int) []float32 { return p.pool.shared[unit*p.plane:][:p.plane] }

// measure makes the moments of channels whose planes source returns: the mean,
// then the squares around it.
func (p *intense) measure(of []moment, source func(w *worker, unit int) []float32) []part {
	planes, voxels := p.n*p.size[0], float64(p.size[0]*p.plane/p.c)
	first := func(w *worker, unit int) {
		if p.idle(unit/p.size[0], 0) {
			return
		}
		x := source(w, unit)
		for c := range p.c {
			sum, low, high := 0.0, x[c], x[c]
			for i := c; i < len(x); i += p.c {
				v := x[i]
				sum += float64(v)
				low, high = min(low, v), max(high, v)
			}
			p.parts[unit*p.c+c] = moment{sum: sum, low: float64(low), high: float64(high)}
		}
	}
	second := func(w *worker, unit int) {
		n := unit / p.size[0]
		if p.idle(n, 0) {
			return
		}
		x := source(w, unit)
		for c := range p.c {
			square, mean := 0.0, of[n*p.c+c].mean
			for i := c; i < len(x); i += p.c {
				d := float64(x[i]) - mean
				square += d * d
			}
			p.parts[unit*p.c+c].square = square
		}
	}
	return []part{
		p.parallel(planes, first),
		serial(func() {
			for i := range of {
				m := moment{low: math.Inf(1), high: math.Inf(-1)}
				for d := range p.size[0] {
					q := &p.parts[(i/p.c*p.size[0]+d)*p.c+i%p.c]
					m.sum, m.low, m.high = m.sum+q.sum, min(m.low, q.low), max(m.high, q.high)
				}
				m.mean = m.sum / voxels
				of[i] = m
			}
		}),
		p.parallel(planes, second),
		serial(func() {
			for i := range of {
				for d := range p.size[0] {
					of[i].square += p.parts[(i/p.c*p.size[0]+d)*p.c+i%p.c].square
				}
			}
		}),
	}
}

// raise makes a plane of powers: of the place of x in [min, max], for
// GammaInvert of that of −x in [−max, −min]; exp(a·log place).
func (p *intense) raise(w *worker, unit int) {
	n := unit / p.size[0]
	if p.idle(n, 0) {
		return
	}
	width := ceil(p.plane, p.flat.lanes) * p.flat.lanes
	place, zero := w.scratch[:width], w.scratch[width:][:width]
	x := p.isa.read(p.x, unit*p.plane, p.plane, zero)
	clear(place[p.plane:])
	for c := range p.c {
		m := &p.of[n*p.c+c]
		share := float32(1 / (m.high - m.low))
		from, sign := float32(m.low), float32(1)
		if p.op.Kind == graph.GammaInvert {
			from, sign = float32(m.high), -1
		}
		for i := c; i < p.plane; i += p.c {
			place[i] = min((x[i]-from)*sign*share, 1)
		}
	}
	p.flat.log(&place[0], &place[0], width/p.flat.lanes)
	for c := range p.c {
		a := p.parameter(n, c)
		for i := c; i < p.plane; i += p.c {
			place[i] *= a
		}
	}
	clear(zero)
	p.flat.expSub(&place[0], &place[0], &zero[0], width/p.flat.lanes)
	copy(p.powers(unit), place)
}

// apply makes a plane of y.
func (p *intense) apply(w *worker, unit int) {
	n := unit / p.size[0]
	if p.idle(n, 0) {
		p.copyPlane(unit)
		return
	}
	at := unit * p.plane
	x := p.isa.read(p.x, at, p.plane, w.scratch)
	y := p.isa.target(p.y, at, p.plane, w.scratch[p.plane:])
	copy(y, x)
	for c := range p.c {
		if a := p.parameter(n, c); a != 0 {
			p.channel(n, c, at, a, x, y)
		}
	}
	p.isa.flush(p.y, at, y)
}

// channel makes channel c of a plane whose first element is at.
func (p *intense) channel(n, c, at int, a float32, x, y []float32) {
	switch p.op.Kind {
	case graph.Noise:
		for i := c; i < len(x); i += p.c {
			y[i] = x[i] + a*float32(p.normal(at+i))
		}
	case graph.Brightness:
		for i := c; i < len(x); i += p.c {
			y[i] = x[i] * a
		}
	case graph.Shift:
		for i := c; i < len(x); i += p.c {
			y[i] = x[i] + a
		}
	case graph.Contrast, graph.ContrastZero, graph.ContrastOpen:
		m := &p.of[n*p.c+c]
		around, low, high := m.mean, m.low, m.high
		switch p.op.Kind {
		case graph.ContrastZero:
			around = 0
		case graph.ContrastOpen:
			low, high = math.Inf(-1), math.Inf(1)
		}
		for i := c; i < len(x); i += p.c {
			v := (float64(x[i])-around)*float64(a) + around
			y[i] = float32(min(max(v, low), high))
		}
	default:
		m, q := &p.of[n*p.c+c], &p.power[n*p.c+c]
		if m.low == m.high {
			return
		}
		factor := math.Sqrt(m.square / q.square)
		if p.op.Kind == graph.GammaInvert {
			factor = -factor
		}
		powers := p.pool.shared[at:]
		for i := c; i < len(x); i += p.c {
			y[i] = float32((float64(powers[i])-q.mean)*factor + m.mean)
		}
	}
}

// normal is the noise of element i.
func (p *intense) normal(i int) float64 {
	seed := p.ctl[p.op.Seed:][:2]
	a, b := graph.Random(uint64(p.op.First+i)+uint64(seed[1])<<32, uint32(seed[0]))
	u, v := float64(a>>8+1)/(1<<24), float64(b>>8)/(1<<24)
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}
