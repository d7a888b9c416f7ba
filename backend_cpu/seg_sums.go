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
	n := p.vectors(&u)
	switch p.op.Act {
	case graph.Softmax:
		p.softmax(&u)
		total := &u.row[segTotal][0]
		p.flat.log(total, total, n)
		p.meanLogit(&u)
	case graph.Hard:
		p.hard(&u)
	}
	for k := range p.k {
		o := out[k*graph.SumsLen:][:graph.SumsLen]
		t, one := p.want(&u, k)
		if p.op.Act == graph.Sigmoid {
			p.sigmoid(&u, k)
			o[graph.SumCE] = p.binaryCrossEntropy(&u, k, t)
		}
		acc := u.args.lanes[:3*p.flat.lanes]
		clear(acc)
		p.flat.classSums(&acc[0], &p.of(&u, u.p, k)[0], &t[0], &u.row[segValid][0], n)
		o[graph.SumPT], o[graph.SumP], o[graph.SumT] = p.lanes(acc, 0), p.lanes(acc, 1), p.lanes(acc, 2)
		o[graph.SumValid] = float64(u.valid)
		if p.op.Act == graph.Softmax {
			o[graph.SumCE] = p.crossEntropy(&u, k, one)
		}
	}
}

// lanes adds up sum i.
func (p *seg) lanes(acc []float32, i int) (sum float64) {
	for _, x := range acc[i*p.flat.lanes:][:p.flat.lanes] {
		sum += float64(x)
	}
	return sum
}

// crossEntropy is Σ −(1 − p)^γ·log p over the voxels of class k.
func (p *seg) crossEntropy(u *segUnit, k int, one []float32) (sum float64) {
	logs, top, z := u.row[segTotal], u.row[segTop], p.of(u, u.z, k)
	if p.op.Gamma == 0 {
		acc := u.args.lanes[:p.flat.lanes]
		clear(acc)
		p.flat.picked(&acc[0], &one[0], &logs[0], &top[0], &z[0], p.vectors(u))
		return p.lanes(acc, 0) + p.smoothed(u, one, z)
	}
	for i, t := range one {
		if t != 0 {
			sum += float64((logs[i] + (top[i] - z[i])) * focus(p.others(u, i, k), p.op.Gamma))
		}
	}
	return sum
}

// meanLogit makes segB the mean over the classes of z, where labels are smoothed.
func (p *seg) meanLogit(u *segUnit) {
	if p.op.Smoothing == 0 {
		return
	}
	mean := u.row[segB]
	clear(mean)
	for k := range p.k {
		p.flat.axpy(&mean[0], &p.of(u, u.z, k)[0], p.vectors(u), 1/float32(p.k))
	}
}

// smoothed is Σ ε·(z − mean(z)) over the voxels whose label is that of z.
func (p *seg) smoothed(u *segUnit, one, z []float32) (sum float64) {
	if p.op.Smoothing == 0 {
		return 0
	}
	mean := u.row[segB]
	for i, t := range one {
		if t != 0 {
			sum += float64(z[i] - mean[i])
		}
	}
	return float64(p.op.Smoothing) * sum
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
func focus(x, gamma float32) float32 {
	if gamma == 2 {
		return x * x
	}
	return float32(math.Pow(float64(x), float64(gamma)))
}

// binaryCrossEntropy is Σ −(1 − q)^γ·log q, q = t ? p : 1 − p, of class k: with
// x = t ? −z : z, −log q = max(x, 0) + log(1 + exp(−|z|)).
func (p *seg) binaryCrossEntropy(u *segUnit, k int, t []float32) (sum float64) {
	logs, z, prob, valid := u.row[segTotal], p.of(u, u.z, k), p.of(u, u.p, k), u.row[segValid]
	for i, v := range valid {
		x, away := z[i], prob[i]
		if t[i] != 0 {
			x, away = -x, sigmoidOf(-z[i])
		}
		ce := (max(x, 0) + logs[i]) * v
		if p.op.Gamma != 0 {
			ce *= focus(away, p.op.Gamma)
		}
		sum += float64(ce)
	}
	return sum
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
