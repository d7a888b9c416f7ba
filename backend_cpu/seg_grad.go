package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// segGrad makes dlogits. With A = dp + t·dpt of a class, B the cotangent of the
// cross entropy that a voxel's label takes, q the probability of what is wanted:
//
//	softmax  dz[k] = p[k]·(A[k] − Σ A·p) + B·r·([k is the class] − p[k]) + B·ε·([k is the class] − 1/K)
//	sigmoid  dz = A·p·(1−p) ± B·(1−q)·r      + where t
//	r = γ·q·(1−q)^(γ−1)·log q − (1−q)^γ, −1 without γ
func (s *scope) segGrad(op graph.SegSums, n graph.Node) []part {
	p := s.seg(op, n.In[0], n.In[1])
	p.dsums, p.dlogits = s.f32(n.In[2]), s.tensor(n.Out[0])
	return []part{s.parallel(p.n*p.units, p.grad)}
}

// cotangent of column i of the sums of class k.
func (p *seg) cotangent(n, k, i int) float32 { return p.dsums[(n*p.k+k)*graph.SumsLen+i] }

func (p *seg) grad(w *worker, unit int) {
	u := p.open(w, unit)
	n := u.count * p.k
	switch {
	case u.valid == 0:
		clear(u.stored[:n])
	case p.op.Act == graph.Sigmoid:
		p.sigmoidGrad(&u)
		p.turnBack(&u)
	default:
		p.softmaxGrad(&u)
		p.turnBack(&u)
	}
	p.isa.put(p.dlogits, (u.n*p.v+u.first)*p.k, n, u.stored, n, 1, n)
}

// softmaxGrad makes z the gradient.
func (p *seg) softmaxGrad(u *segUnit) {
	p.softmax(u)
	n, mean, ce := p.vectors(u), u.row[segA], u.row[segB]
	p.crossEntropyGrad(u, ce)
	if u.valid < u.width {
		for k := range p.k {
			multiply(p.of(u, u.p, k), u.row[segValid])
		}
	}
	clear(mean)
	for k := range p.k {
		t, _ := p.want(u, k)
		p.flat.mixed(&mean[0], &p.of(u, u.p, k)[0], &t[0], n, p.cotangent(u.n, k, graph.SumP), p.cotangent(u.n, k, graph.SumPT))
	}
	for k := range p.k {
		t, one := p.want(u, k)
		p.flat.softGrad(&p.of(u, u.z, k)[0], &p.of(u, u.p, k)[0], &t[0], &one[0], &mean[0], &ce[0], n,
			p.cotangent(u.n, k, graph.SumP), p.cotangent(u.n, k, graph.SumPT))
		if p.op.Smoothing != 0 {
			z := p.of(u, u.z, k)
			for i, b := range ce {
				z[i] += b * p.op.Smoothing * (one[i] - 1/float32(p.k))
			}
		}
	}
}

// crossEntropyGrad makes −B·r of each voxel.
func (p *seg) crossEntropyGrad(u *segUnit, ce []float32) {
	for i, c := range u.row[segClass] {
		ce[i] = 0
		if c < 0 {
			continue
		}
		k := int(c)
		ce[i] = p.cotangent(u.n, k, graph.SumCE)
		if p.op.Gamma != 0 {
			logq := -(math.Log(float64(u.row[segTotal][i])) + float64(u.row[segTop][i]-u.z[k*p.block+i]))
			ce[i] *= -p.focal(logq, p.others(u, i, k), u.p[k*p.block+i])
		}
	}
}

// focal is r of segGrad, away = 1 − q.
func (p *seg) focal(logq float64, away, q float32) float32 {
	if away == 0 {
		return 0 // log q vanishes as fast as away does
	}
	gamma, a := float64(p.op.Gamma), float64(away)
	if gamma == 2 {
		return float32(2*float64(q)*a*logq - a*a)
	}
	return float32(gamma*float64(q)*math.Pow(a, gamma-1)*logq - math.Pow(a, gamma))
}

// sigmoidGrad makes z the gradient.
func (p *seg) sigmoidGrad(u *segUnit) {
	for k := range p.k {
		p.sigmoid(u, k)
		t, _ := p.want(u, k)
		z, prob, valid := p.of(u, u.z, k), p.of(u, u.p, k), u.row[segValid]
		dp, dpt, dce := p.cotangent(u.n, k, graph.SumP), p.cotangent(u.n, k, graph.SumPT), p.cotangent(u.n, k, graph.SumCE)
		for i, x := range prob {
			d := dce * (x - t[i])
			if p.op.Gamma != 0 && valid[i] != 0 {
				d = dce * p.focalGrad(u, i, z[i], t[i])
			}
			z[i] = valid[i] * ((dp+dpt*t[i])*x*(1-x) + d)
		}
	}
}

// focalGrad is ±(1−q)·r of voxel i.
func (p *seg) focalGrad(u *segUnit, i int, z, t float32) float32 {
	x, sign := z, float32(-1)
	if t == 0 {
		x = -z
	} else {
		sign = 1
	}
	away := sigmoidOf(-x)
	logq := -float64(max(-x, 0) + u.row[segTotal][i])
	return sign * away * p.focal(logq, away, sigmoidOf(x))
}

// turnBack makes stored [count K] of z [K block].
func (p *seg) turnBack(u *segUnit) {
	k, to := p.k, u.stored[:u.count*p.k]
	if k == 3 {
		a, b, c := p.of(u, u.z, 0), p.of(u, u.z, 1), p.of(u, u.z, 2)
		for i := range u.count {
			v := to[3*i:][:3]
			v[0], v[1], v[2] = a[i], b[i], c[i]
		}
		return
	}
	for j := range k {
		z := p.of(u, u.z, j)
		for i, at := 0, j; at < len(to); i, at = i+1, at+k {
			to[at] = z[i]
		}
	}
}
