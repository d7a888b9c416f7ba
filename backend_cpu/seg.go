package cpu

import (
	"math"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// seg is a SegSums or a SegGrad. A unit is up to block voxels of a sample, whose
// logits are turned to [K block], so that a vector is of one class.
type seg struct {
	*scope
	op      graph.SegSums
	n, v, k int
	grid    [3]int // D H W of the logits
	block   int
	units   int // of a sample
	logits  tensor
	labels  []byte
	class   [256]uint8 // class of a label
	wants   [][256]float32
	sums    []float32
	// of SegGrad
	dsums   []float32
	dlogits tensor
}

// What a unit keeps in a worker's memory, rows of block elements: logits as they
// are stored and turned, probabilities, and a row each of:
const (
	segTop   = iota // the largest logit
	segTotal        // Σ exp
	segRowA
	segRowB
	segRows
)

func (s *scope) seg(op graph.SegSums, logits, labels graph.Value) *seg {
	t := s.Type(logits).Shape
	p := &seg{
		scope: s, op: op, n: t[0], v: t[1] * t[2] * t[3], k: t[4], grid: [3]int(t[1:4]),
		logits: s.tensor(logits), labels: s.bytes(labels),
	}
	p.block = max(64, min(1024, unitFloats/p.k/64*64))
	p.units = ceil(p.v, p.block)
	p.wants = make([][256]float32, p.k)
	for l := range 256 {
		if l < p.k {
			p.class[l] = uint8(l)
		}
		for c := range p.k {
			if op.Regions == nil && int(p.class[l]) == c {
				p.wants[c][l] = 1
			}
		}
	}
	for c, region := range op.Regions {
		for _, l := range region {
			p.wants[c][l] = 1
		}
	}
	s.pool.reserve(need{
		shared: p.n * p.units * p.k * graph.SumsLen * 2,
		worker: p.memory(),
	})
	return p
}

// columns is K, rounded up to vectors: what is turned.
func (p *seg) columns() int { return ceil(p.k, p.isa.lanes) * p.isa.lanes }

func (p *seg) memory() int {
	return p.block*(p.k+2*p.columns()+segRows+1) + 2*p.isa.lanes
}

// segUnit is a unit in a worker's memory.
type segUnit struct {
	n, first, count int       // voxels first … first+count of sample n
	stored          []float32 // [count K], and room for a vector
	z, p            []float32 // [columns block]
	rows            [segRows][]float32
	labels          []byte // of the voxels
	valid           int    // voxels that count
}

// open finds labels and logits of a unit.
func (p *seg) open(w *worker, unit int) segUnit {
	u := segUnit{n: unit / p.units, first: unit % p.units * p.block}
	u.count = min(p.block, p.v-u.first)
	m := w.scratch
	take := func(n int) []float32 {
		r := m[:n:n]
		m = m[n:]
		return r
	}
	u.stored = take(p.block*p.k + 2*p.isa.lanes)
	u.z, u.p = take(p.columns()*p.block), take(p.columns()*p.block)
	for i := range u.rows {
		u.rows[i] = take(p.block)
	}
	u.labels = backend.F32Bytes(take(p.block / 4))[:u.count]
	p.readLabels(&u)
	for _, l := range u.labels {
		if int(l) != p.op.Ignore {
			u.valid++
		}
	}
	n := u.count * p.k
	p.isa.fetch(u.stored[:n], n, p.logits, (u.n*p.v+u.first)*p.k, n, 1, n)
	p.turn(&u)
	return u
}

// readLabels takes every stride-th label, beginning at half a stride.
func (p *seg) readLabels(u *segUnit) {
	s, g := p.op.Stride, p.grid
	size := [3]int{g[0] * s[0], g[1] * s[1], g[2] * s[2]}
	of := p.labels[u.n*size[0]*size[1]*size[2]:]
	if s == [3]int{1, 1, 1} {
		copy(u.labels, of[u.first:])
		return
	}
	for i := 0; i < len(u.labels); {
		v := u.first + i
		d, h, w := v/(g[1]*g[2]), v/g[2]%g[1], v%g[2]
		row := of[((d*s[0]+s[0]/2)*size[1]+h*s[1]+s[1]/2)*size[2]:]
		for ; w < g[2] && i < len(u.labels); w++ {
			u.labels[i] = row[w*s[2]+s[2]/2]
			i++
		}
	}
}

// turn makes z [K block] of stored [count K]. Rows are read as whole vectors,
// which reach into the next voxel; what is turned too much lies beyond K.
func (p *seg) turn(u *segUnit) {
	lanes := p.isa.lanes
	whole := u.count / lanes * lanes
	for k := 0; k < p.k; k += lanes {
		for i := 0; i < whole; i += lanes {
			p.isa.transpose(&u.z[k*p.block+i], &u.stored[i*p.k+k], 4*p.block, 4*p.k)
		}
	}
	for i := whole; i < u.count; i++ {
		for k := range p.k {
			u.z[k*p.block+i] = u.stored[i*p.k+k]
		}
	}
}

// row is class k of z or p.
func (p *seg) row(u *segUnit, of []float32, k int) []float32 { return of[k*p.block:][:u.count] }

// activate makes p of z. With a softmax, top and total are the largest logit
// and Σ exp(z − top).
func (p *seg) activate(u *segUnit) {
	switch p.op.Act {
	case graph.Softmax:
		top, total := u.rows[segTop][:u.count], u.rows[segTotal][:u.count]
		copy(top, p.row(u, u.z, 0))
		for k := 1; k < p.k; k++ {
			p.flat.max(top, p.row(u, u.z, k))
		}
		clear(total)
		for k := range p.k {
			e := p.row(u, u.p, k)
			p.flat.exp(e, p.row(u, u.z, k), top)
			p.flat.addScaled(total, e, 1)
		}
		share := u.rows[segRowA][:u.count]
		for i, t := range total {
			share[i] = 1 / t
		}
		for k := range p.k {
			multiply(p.row(u, u.p, k), share)
		}
	case graph.Sigmoid:
		below, zero := u.rows[segRowA][:u.count], u.rows[segRowB][:u.count]
		clear(zero)
		for k := range p.k {
			z, out := p.row(u, u.z, k), p.row(u, u.p, k)
			for i, x := range z {
				below[i] = -float32(math.Abs(float64(x)))
			}
			p.flat.exp(out, below, zero)
			for i, x := range z {
				if e := out[i]; x < 0 {
					out[i] = e / (1 + e)
				} else {
					out[i] = 1 / (1 + e)
				}
			}
		}
	case graph.Hard:
		clear(u.p[:p.k*p.block])
		for i := range u.count {
			best := 0
			for k := 1; k < p.k; k++ {
				if u.z[k*p.block+i] > u.z[best*p.block+i] {
					best = k
				}
			}
			u.p[best*p.block+i] = 1
		}
	}
}

func multiply(y, x []float32) {
	x = x[:len(y)]
	for i := range y {
		y[i] *= x[i]
	}
}

// segSums makes the sums of each unit, and adds them up in the order of the units.
func (s *scope) segSums(op graph.SegSums, n graph.Node) []part {
	p := s.seg(op, n.In[0], n.In[1])
	p.sums = s.f32(n.Out[0])
	return []part{s.parallel(p.n*p.units, p.sum), serial(p.reduce)}
}

// partial is the sums of a unit, [K SumsLen].
func (p *seg) partial(unit int) []float64 {
	k := p.k * graph.SumsLen
	return doubles(p.pool.shared)[unit*k:][:k]
}

func (p *seg) sum(w *worker, unit int) {
	u := p.open(w, unit)
	out := p.partial(unit)
	clear(out)
	if u.valid == 0 {
		return
	}
	p.activate(&u)
	for k := range p.k {
		prob, wants := p.row(&u, u.p, k), &p.wants[k]
		var pt, all float32
		count := 0
		for i, l := range u.labels {
			if int(l) == p.op.Ignore {
				continue
			}
			t := wants[l]
			all += prob[i]
			pt += prob[i] * t
			count += int(t)
		}
		o := out[k*graph.SumsLen:]
		o[graph.SumPT], o[graph.SumP], o[graph.SumT], o[graph.SumValid] = float64(pt), float64(all), float64(count), float64(u.valid)
	}
	switch p.op.Act {
	case graph.Softmax:
		p.crossEntropy(&u, out)
	case graph.Sigmoid:
		p.binaryCrossEntropy(&u, out)
	}
}

// crossEntropy adds −(1 − p)^γ·log p to the class of each label.
func (p *seg) crossEntropy(u *segUnit, out []float64) {
	logs := u.rows[segRowA][:u.count]
	for i, t := range u.rows[segTotal][:u.count] {
		logs[i] = float32(math.Log(float64(t)))
	}
	top := u.rows[segTop]
	for i, l := range u.labels {
		if int(l) == p.op.Ignore {
			continue
		}
		c := int(p.class[l])
		ce := logs[i] + (top[i] - u.z[c*p.block+i])
		if p.op.Gamma != 0 {
			ce *= focus(p.others(u, i, c), p.op.Gamma)
		}
		out[c*graph.SumsLen+graph.SumCE] += float64(ce)
	}
}

// others is 1 − p of class c, without the cancellation.
func (p *seg) others(u *segUnit, i, c int) (sum float32) {
	for k := range p.k {
		if k != c {
			sum += u.p[k*p.block+i]
		}
	}
	return sum
}

// focus is x^γ.
func focus(x, gamma float32) float32 {
	if gamma == 2 {
		return x * x
	}
	return float32(math.Pow(float64(x), float64(gamma)))
}

// binaryCrossEntropy adds −(1 − q)^γ·log q, q = t ? p : 1 − p, to each class.
func (p *seg) binaryCrossEntropy(u *segUnit, out []float64) {
	for k := range p.k {
		z, wants := p.row(u, u.z, k), &p.wants[k]
		sum := 0.0
		for i, l := range u.labels {
			if int(l) == p.op.Ignore {
				continue
			}
			x := z[i]
			if wants[l] == 0 {
				x = -x
			}
			ce := softplus(-x)
			if p.op.Gamma != 0 {
				ce *= focus(sigmoid(-x), p.op.Gamma)
			}
			sum += float64(ce)
		}
		out[k*graph.SumsLen+graph.SumCE] = sum
	}
}

// softplus is log(1 + exp(x)).
func softplus(x float32) float32 {
	return max(x, 0) + float32(math.Log1p(math.Exp(-math.Abs(float64(x)))))
}

func sigmoid(x float32) float32 {
	e := math.Exp(-math.Abs(float64(x)))
	if x < 0 {
		return float32(e / (1 + e))
	}
	return float32(1 / (1 + e))
}

// reduce makes the sums of the op.
func (p *seg) reduce() {
	k := p.k * graph.SumsLen
	for n := range p.n {
		for i := range k {
			sum := 0.0
			for u := range p.units {
				sum += p.partial(n*p.units + u)[i]
			}
			p.sums[n*k+i] = float32(sum)
		}
	}
}
