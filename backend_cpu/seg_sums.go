package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

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
	switch p.op.Act {
	case graph.Softmax:
		p.softmax(&u)
		p.log(&u)
		if p.op.Gamma != 0 || p.op.Regions != nil {
			p.focalSums(&u, out)
		}
	case graph.Hard:
		p.hard(&u)
	case graph.Sigmoid:
		p.sigmoids(&u, out)
	}
	p.overlap(&u, out)
	if p.op.Smoothing != 0 {
		p.smoothedSums(&u, out)
	}
}

// overlap makes Σ p·t, Σ p, Σ t and the count of voxels, and with a softmax, unless it is
// there, the cross entropy.
func (p *seg) overlap(u *segUnit, out []float64) {
	n := 3
	clear(u.acc)
	switch {
	case p.op.Regions != nil:
		for k := range p.k {
			p.flat.regionSums(&u.acc[3*k*p.flat.lanes], &p.of(u, u.p, k)[0], &p.want(u, k)[0], u.args.class, u.args.vectors)
		}
	case p.op.Act == graph.Softmax && p.op.Gamma == 0:
		n = 4
		p.flat.softSums(u.args)
	default:
		p.flat.classSums(u.args)
	}
	for k := range p.k {
		o := out[k*graph.SumsLen:][:graph.SumsLen]
		o[graph.SumPT], o[graph.SumP], o[graph.SumT] = p.lanes(u, n*k), p.lanes(u, n*k+1), p.lanes(u, n*k+2)
		if n == 4 {
			o[graph.SumCE] = p.lanes(u, 4*k+3)
		}
		o[graph.SumValid] = float64(u.valid)
	}
}

// lanes adds up sum i of acc, four at a time, which do not wait for each other.
func (p *seg) lanes(u *segUnit, i int) float64 {
	var sum [4]float64
	for a := u.acc[i*p.flat.lanes:][:p.flat.lanes]; len(a) >= 4; a = a[4:] {
		sum[0] += float64(a[0])
		sum[1] += float64(a[1])
		sum[2] += float64(a[2])
		sum[3] += float64(a[3])
	}
	return sum[0] + sum[1] + (sum[2] + sum[3])
}

// focalSums is Σ −(1 − p)^γ·log p over the voxels of each class.
func (p *seg) focalSums(u *segUnit, out []float64) {
	logs, top := u.row[segTotal], u.row[segTop]
	for i, c := range u.row[segClass] {
		if c >= 0 {
			k := int(c)
			ce := logs[i] + (top[i] - u.z[k*p.block+i])
			out[k*graph.SumsLen+graph.SumCE] += float64(ce * focus(p.others(u, i, k), p.op.Gamma))
		}
	}
}

// others is 1 − p of class k of voxel i, without the cancellation.
func (p *seg) others(u *segUnit, i, k int) (sum float32) {
	for j := range p.k {
		if j != k {
			sum += u.p[j*p.block+i]
		}
	}
	return sum
}

// focus is x^γ.
//
//go:noinline
func focus(x, gamma float32) float32 {
	switch gamma {
	case 0:
		return 1
	case 2:
		return x * x
	}
	return float32(math.Pow(float64(x), float64(gamma)))
}

// sigmoids makes p of each class, and Σ −(1 − q)^γ·log q, q = t ? p : 1 − p: with
// x = t ? −z : z, −log q = max(x, 0) + log(1 + exp(−|z|)).
func (p *seg) sigmoids(u *segUnit, out []float64) {
	for k := range p.k {
		z, prob, t := p.of(u, u.z, k), p.of(u, u.p, k), p.want(u, k)
		p.flat.sigmoid(&prob[0], u.args.total, &z[0], u.args.vectors)
		p.log(u)
		ce := &out[k*graph.SumsLen+graph.SumCE]
		if p.op.Gamma == 0 {
			clear(u.acc[:p.flat.lanes])
			p.flat.binary(&u.acc[0], &z[0], u.args.total, &t[0], u.args.class, u.args.vectors)
			*ce = p.lanes(u, 0)
			continue
		}
		for i, c := range u.row[segClass] {
			if c < 0 {
				continue
			}
			x, away := z[i], prob[i]
			if t[i] != 0 {
				x, away = -x, sigmoidOf(-z[i])
			}
			*ce += float64((max(x, 0) + u.row[segTotal][i]) * focus(away, p.op.Gamma))
		}
	}
}

// sigmoidOf is 1/(1 + exp(−x)).
func sigmoidOf(x float32) float32 {
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
