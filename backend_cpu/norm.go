package cpu

import (
	"math"
	"unsafe"

	"github.com/gounet/gounet/core/graph"
)

// unitFloats is about how many elements a unit of an elementwise op has: what
// it reads stays in the first levels of the cache.
const unitFloats = 4096

// streamFloats is that of an op that reads them in place, and once.
const streamFloats = 16384

// channelGroup is how many channels are reduced by one unit.
const channelGroup = 16

// normPlan cuts x [N V C] into units. A unit is rows of period elements, so
// that column i of all rows belongs to channel i mod C, and fewer at the end.
//
//	partial f64 [N units C 2]   columns f32 [N 5 period]: mean, scale, shift, k0, k1
//
// lie in the memory that the workers share.
type normPlan struct {
	*scope
	n, v, c int
	period  int
	chunk   int // elements of a unit, whole periods
	units   int // of a sample
	slope   float32
	over    graph.Pool
	direct  *sweeps // the kernels that read and write in place; nil: there are none for the type
	x       tensor
	gamma   []float32
	beta    []float32
	stats   []float32 // [N C 2]
}

func (s *scope) normPlan(slope float32, over graph.Pool, x, gamma, beta, stats graph.Value) *normPlan {
	t := s.Type(x).Shape
	p := &normPlan{
		scope: s, n: t[0], v: t[1] * t[2] * t[3], c: t[4], slope: slope, over: over,
		x: s.tensor(x), gamma: s.f32(gamma), beta: s.f32(beta), stats: s.f32(stats),
	}
	p.period = p.c / gcd(p.c, s.flat.block) * s.flat.block
	floats := unitFloats
	switch {
	case p.x.dtype == graph.F32:
		p.direct, floats = &s.flat.single, streamFloats
	case p.x.dtype == graph.BF16 && s.flat.halves != nil:
		p.direct, floats = s.flat.halves, streamFloats
	}
	p.chunk = max(1, floats/p.period) * p.period
	p.units = ceil(p.v*p.c, p.chunk)
	s.pool.reserve(need{
		shared: p.columnsAt() + p.n*5*p.period,
		worker: 2*p.chunk + 3*p.period + 4*p.c,
	})
	return p
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// columnsAt is where the columns lie in shared memory, behind partial.
func (p *normPlan) columnsAt() int { return p.n * p.units * p.c * 4 }

// partial is the two sums of unit u of sample n.
//
//go:noinline
func (p *normPlan) partial(n, u int) []float64 {
	return doubles(p.pool.shared[:p.columnsAt()])[(n*p.units+u)*2*p.c:][:2*p.c]
}

// column is column vector i of sample n.
//
//go:noinline
func (p *normPlan) column(n, i int) []float32 {
	return p.pool.shared[p.columnsAt()+(n*5+i)*p.period:][:p.period]
}

// unit is the sample of a unit, and where its elements are.
//
//go:noinline
func (p *normPlan) unit(unit int) (n, off, length int) {
	n = unit / p.units
	first := unit % p.units * p.chunk
	return n, n*p.v*p.c + first, min(p.chunk, p.v*p.c-first)
}

// buffers of a worker: two chunks, two sums and a mean a column, two sums a channel.
func (p *normPlan) buffers(w *worker) (a, b, sum, sum2, mean []float32, total []float64) {
	m := w.scratch
	take := func(n int) []float32 {
		r := m[:n:n]
		m = m[n:]
		return r
	}
	total = doubles(take(4 * p.c))
	sum, sum2, mean = take(p.period), take(p.period), take(p.period)
	return take(p.chunk), take(p.chunk), sum, sum2, mean, total
}

// sweepRows is elements off … off+length of what a sweep reads and writes; dy and y may be
// the zero tensor.
type sweepRows struct {
	x, dy, y    tensor
	off, length int
}

// in is elements from … to of r.
func (r sweepRows) in(from, to int) sweepRows {
	return sweepRows{r.x, r.dy, r.y, r.off + from, to - from}
}

// sweep runs a kernel over whole rows of columns, then over the rest of a row.
func (p *normPlan) sweep(w *worker, kernel func(*sweeps) func(*sweep), r sweepRows) {
	whole := r.length / p.period * p.period
	if whole > 0 && p.direct != nil {
		s := &w.sweep
		s.rows, s.columns = whole/p.period, p.period
		s.x, s.dy, s.y = r.x.start(r.off), r.dy.start(r.off), r.y.start(r.off)
		kernel(p.direct)(s)
	} else if whole > 0 {
		p.apart(w, kernel(&p.flat.single), r.in(0, whole), p.period)
	}
	if whole < r.length {
		p.apart(w, kernel(&plainFlat.single), r.in(whole, r.length), r.length-whole)
	}
}

// apart runs a kernel over copies in f32.
func (p *normPlan) apart(w *worker, kernel func(*sweep), r sweepRows, columns int) {
	a, b, _, _, _, _ := p.buffers(w)
	s, n := &w.sweep, r.length
	p.isa.fetch(a, n, r.x, r.off, n, 1, n)
	if !r.dy.none() {
		p.isa.fetch(b, n, r.dy, r.off, n, 1, n)
	}
	s.rows, s.columns = n/columns, columns
	s.x, s.dy, s.y = unsafe.Pointer(&a[0]), unsafe.Pointer(&b[0]), unsafe.Pointer(&a[0])
	kernel(s)
	if !r.y.none() {
		p.isa.put(r.y, r.off, n, a, n, 1, n)
	}
}

func tail(x []float32, from int) []float32 { return x[min(from, len(x)):] }

// fold adds the columns of sum to the channels of total.
func (p *normPlan) fold(total []float64, sum []float32) {
	total = total[:p.c]
	clear(total)
	for ; len(sum) >= len(total); sum = sum[len(total):] {
		for c, x := range sum[:len(total)] {
			total[c] += float64(x)
		}
	}
}

// spread repeats channel c of a column vector.
func (p *normPlan) spread(column []float32, c int, x float32) {
	for i := c; i < len(column); i += p.c {
		column[i] = x
	}
}

// channels is the channels of a unit that reduces.
func (p *normPlan) channels(unit int) (n, from, to int) {
	groups := ceil(p.c, channelGroup)
	from = unit % groups * channelGroup
	return unit / groups, from, min(from+channelGroup, p.c)
}

// normAct makes y and stats.
func (s *scope) normAct(op graph.NormAct, n graph.Node) []part {
	p := s.normPlan(op.Slope, op.Pool, n.In[0], n.In[1], n.In[2], n.Out[1])
	y := s.tensor(n.Out[0])
	groups, eps := p.n*ceil(p.c, channelGroup), float64(op.Eps)
	list := []part{
		s.parallel(p.n*p.units, p.moments),
		s.parallel(groups, func(_ *worker, unit int) { p.statistics(unit, eps) }),
	}
	if op.Shared() {
		list = append(list, serial(func() { p.poolStatistics(eps) }), s.parallel(groups, func(_ *worker, unit int) { p.columns(unit) }))
	}
	return append(list, s.parallel(p.n*p.units, func(w *worker, unit int) { p.apply(w, unit, y) }))
}

// normApply makes y of x and stats.
func (s *scope) normApply(op graph.NormApply, n graph.Node) []part {
	p := s.normPlan(op.Slope, graph.Pool{}, n.In[0], n.In[1], n.In[2], n.In[3])
	y := s.tensor(n.Out[0])
	return []part{
		s.parallel(p.n*ceil(p.c, channelGroup), func(_ *worker, unit int) { p.columns(unit) }),
		s.parallel(p.n*p.units, func(w *worker, unit int) { p.apply(w, unit, y) }),
	}
}

// moments makes the partial sums of a unit, Σ x and Σ (x − mean)², in one reading: around
// m, the mean of an eighth of the unit, both corrected by Σ (x − m). The mean of n/8 of
// n numbers is at most √7 standard deviations from that of all, so that Σ (x − m)² is at
// most eight times what is left of it.
func (p *normPlan) moments(w *worker, unit int) {
	n, off, length := p.unit(unit)
	_, _, sum, sum2, mean, total := p.buffers(w)
	all := sweepRows{x: p.x, off: off, length: length}
	some := all.in(0, min(length, ceil(length/p.period, 8)*p.period))
	if some.length == 0 {
		some = all
	}
	t := total[:p.c]
	w.sweep = sweep{sum: &sum[0], sum2: &sum2[0], mean: &mean[0]}
	clear(sum)
	p.sweep(w, func(s *sweeps) func(*sweep) { return s.sums }, some)
	p.fold(t, sum)
	for c, x := range t {
		mean[c] = float32(x / float64(some.length/p.c))
	}
	for i := p.c; i < len(mean); i += p.c {
		copy(mean[i:], mean[:p.c])
	}
	clear(sum)
	clear(sum2)
	p.sweep(w, func(s *sweeps) func(*sweep) { return s.moments }, all)
	off2 := total[p.c:]
	p.fold(t, sum)
	p.fold(off2, sum2)
	count := float64(length / p.c)
	out := p.partial(n, unit%p.units)
	for c := range t {
		d := t[c]
		out[2*c] = float64(mean[c])*count + d
		out[2*c+1] = off2[c] - d*d/count
	}
}

// statistics adds up the partial sums of a few channels in the order of the
// units (Chan, Golub and LeVeque 1983) and makes stats and columns of them; where
// statistics are shared, mean and variance, which take the place of the first sums.
func (p *normPlan) statistics(unit int, eps float64) {
	n, from, to := p.channels(unit)
	var sum, square [channelGroup]float64
	for u := range p.units {
		t := p.partial(n, u)
		for c := from; c < to; c++ {
			sum[c-from] += t[2*c]
		}
	}
	for u := range p.units {
		t := p.partial(n, u)
		_, _, length := p.unit(u)
		count := float64(length / p.c)
		for c := from; c < to; c++ {
			d := t[2*c]/count - sum[c-from]/float64(p.v)
			square[c-from] += t[2*c+1] + count*d*d
		}
	}
	for c := from; c < to; c++ {
		mean, variance := sum[c-from]/float64(p.v), max(0, square[c-from]/float64(p.v))
		if p.over.Shared() {
			m := p.partial(n, 0)[2*c:][:2]
			m[0], m[1] = mean, variance
			continue
		}
		p.setStats(n, c, mean, variance+eps)
	}
	if !p.over.Shared() {
		p.columns(unit)
	}
}

func (p *normPlan) setStats(n, c int, mean, squares float64) {
	st := p.stats[(n*p.c+c)*2:][:2]
	st[0], st[1] = float32(mean), float32(1/math.Sqrt(squares))
}

// sets calls f for each set of samples n0 … n1 and channels c0 … c1 that share
// statistics.
func (p *normPlan) sets(f func(n0, n1, c0, c1 int)) {
	samples, channels := p.over.Sizes(p.n, p.c)
	for n := 0; n < p.n; n += samples {
		for c := 0; c < p.c; c += channels {
			f(n, n+samples, c, c+channels)
		}
	}
}

// pairs are the two numbers of channels c0 … c1 of a sample that stand in the place of
// its first sums.
func (p *normPlan) pairs(n, c0, c1 int) []float64 { return p.partial(n, 0)[2*c0 : 2*c1] }

// pooled is the mean and the variance of a set, of those of its samples and channels.
func (p *normPlan) pooled(n0, n1, c0, c1 int) (mean, variance float64) {
	count := float64((n1 - n0) * (c1 - c0))
	for n := n0; n < n1; n++ {
		for m := p.pairs(n, c0, c1); len(m) > 0; m = m[2:] {
			mean += m[0] / count
		}
	}
	for n := n0; n < n1; n++ {
		for m := p.pairs(n, c0, c1); len(m) > 0; m = m[2:] {
			d := m[0] - mean
			variance += (m[1] + d*d) / count
		}
	}
	return mean, variance
}

// poolStatistics makes stats of the means and variances of all that shares them.
func (p *normPlan) poolStatistics(eps float64) {
	p.sets(func(n0, n1, c0, c1 int) {
		mean, variance := p.pooled(n0, n1, c0, c1)
		for n := n0; n < n1; n++ {
			for c := c0; c < c1; c++ {
				p.setStats(n, c, mean, variance+eps)
			}
		}
	})
}

// columns spreads mean, scale and shift of a few channels.
func (p *normPlan) columns(unit int) {
	n, from, to := p.channels(unit)
	for c := from; c < to; c++ {
		st := p.stats[(n*p.c+c)*2:][:2]
		p.spread(p.column(n, 0), c, st[0])
		p.spread(p.column(n, 1), c, st[1]*p.gamma[c])
		p.spread(p.column(n, 2), c, p.beta[c])
	}
}

// columnsOf is a sweep with the columns of a sample.
func (p *normPlan) columnsOf(s *sweep, n int) {
	*s = sweep{
		mean: &p.column(n, 0)[0], scale: &p.column(n, 1)[0], shift: &p.column(n, 2)[0],
		k0: &p.column(n, 3)[0], k1: &p.column(n, 4)[0], slope: p.slope,
	}
}

// apply makes a unit of y.
func (p *normPlan) apply(w *worker, unit int, to tensor) {
	n, off, length := p.unit(unit)
	p.columnsOf(&w.sweep, n)
	p.sweep(w, func(s *sweeps) func(*sweep) { return s.norm }, sweepRows{x: p.x, y: to, off: off, length: length})
}
