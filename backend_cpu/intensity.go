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
	power []moment // [N C]: of the power of Gamma
	parts []moment // [N D C]
}

// moment is what a transform needs to know of a channel.
type moment struct{ sum, mean, square, low, high float64 }

// intensity makes y.
func (s *scope) intensity(op graph.Intensity, n graph.Node) []part {
	p := &intense{planes: s.planes(op.Ctl, n), op: op}
	s.pool.reserve(need{worker: 2 * p.plane})
	planes := p.n * p.size[0]
	apply := s.parallel(planes, p.apply)
	if op.Kind == graph.Noise || op.Kind == graph.Brightness {
		return []part{apply}
	}
	p.of, p.power, p.parts = make([]moment, p.n*p.c), make([]moment, p.n*p.c), make([]moment, planes*p.c)
	list := p.measure(p.of, p.same)
	if op.Kind != graph.Contrast {
		list = append(list, p.measure(p.power, p.raise)...)
	}
	return append(list, apply)
}

// measure makes the moments of f(x): the mean, then the squares around it.
func (p *intense) measure(of []moment, f func(n, c int, x float32) float64) []part {
	pass := func(w *worker, unit int, add func(m *moment, mean, v float64)) {
		n := unit / p.size[0]
		if p.idle(n, 0) {
			return
		}
		x := p.isa.read(p.x, unit*p.plane, p.plane, w.scratch)
		for c := range p.c {
			m := moment{low: math.Inf(1), high: math.Inf(-1)}
			if p.parameter(n, c) != 0 {
				mean := of[n*p.c+c].mean
				for i := c; i < p.plane; i += p.c {
					add(&m, mean, f(n, c, x[i]))
				}
			}
			p.parts[unit*p.c+c] = m
		}
	}
	voxels := float64(p.size[0] * p.plane / p.c)
	each := func(f func(m *moment, part moment)) {
		for i := range of {
			n, c := i/p.c, i%p.c
			for d := range p.size[0] {
				f(&of[i], p.parts[(n*p.size[0]+d)*p.c+c])
			}
		}
	}
	first := func(m *moment, _, v float64) { m.sum, m.low, m.high = m.sum+v, min(m.low, v), max(m.high, v) }
	second := func(m *moment, mean, v float64) { m.square += (v - mean) * (v - mean) }
	return []part{
		p.parallel(p.n*p.size[0], func(w *worker, unit int) { pass(w, unit, first) }),
		serial(func() {
			for i := range of {
				of[i] = moment{low: math.Inf(1), high: math.Inf(-1)}
			}
			each(func(m *moment, q moment) { m.sum, m.low, m.high = m.sum+q.sum, min(m.low, q.low), max(m.high, q.high) })
			for i := range of {
				of[i].mean = of[i].sum / voxels
			}
		}),
		p.parallel(p.n*p.size[0], func(w *worker, unit int) { pass(w, unit, second) }),
		serial(func() { each(func(m *moment, q moment) { m.square += q.square }) }),
	}
}

func (p *intense) same(_, _ int, x float32) float64 { return float64(x) }

// raise is the power of the place of x in [min, max]; of −x in [−max, −min].
func (p *intense) raise(n, c int, x float32) float64 {
	m := &p.of[n*p.c+c]
	low, v := m.low, float64(x)
	if p.op.Kind == graph.GammaInvert {
		low, v = -m.high, -v
	}
	return math.Pow((v-low)/(m.high-m.low), float64(p.parameter(n, c)))
}

func (p *intense) apply(w *worker, unit int) {
	n := unit / p.size[0]
	if p.idle(n, 0) {
		p.copyPlane(unit)
		return
	}
	at := unit * p.plane
	x := p.isa.read(p.x, at, p.plane, w.scratch)
	y := p.isa.target(p.y, at, p.plane, w.scratch[p.plane:])
	for c := range p.c {
		a := p.parameter(n, c)
		for i := c; i < p.plane; i += p.c {
			y[i] = x[i]
			if a != 0 {
				y[i] = p.value(n, c, at+i, a, x[i])
			}
		}
	}
	p.isa.flush(p.y, at, y)
}

// value is the transform of element i.
func (p *intense) value(n, c, i int, a, x float32) float32 {
	switch p.op.Kind {
	case graph.Noise:
		return x + a*float32(p.normal(i))
	case graph.Brightness:
		return x * a
	}
	m := &p.of[n*p.c+c]
	if p.op.Kind == graph.Contrast {
		v := (float64(x)-m.mean)*float64(a) + m.mean
		return float32(min(max(v, m.low), m.high))
	}
	if m.low == m.high {
		return x
	}
	q := &p.power[n*p.c+c]
	v := (p.raise(n, c, x) - q.mean) * math.Sqrt(m.square/q.square)
	if p.op.Kind == graph.GammaInvert {
		v = -v
	}
	return float32(v + m.mean)
}

// normal is the noise of element i.
func (p *intense) normal(i int) float64 {
	seed := p.ctl[p.op.Seed:][:2]
	a, b := graph.Random(uint64(i)+uint64(seed[1])<<32, uint32(seed[0]))
	u, v := float64(a>>8+1)/(1<<24), float64(b>>8)/(1<<24)
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
}
