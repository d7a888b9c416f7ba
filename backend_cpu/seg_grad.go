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
//
//go:noinline
func (p *seg) cotangent(n, k, i int) float32 { return p.dsums[(n*p.k+k)*graph.SumsLen+i] }

func (p *seg) grad(w *worker, unit int) {
	u := p.open(w, unit)
	switch {
	case u.valid == 0:
		clear(u.z)
	case p.op.Act == graph.Sigmoid:
		p.sigmoidGrads(&u)
	default:
		p.softmaxGrad(&u)
	}
	p.turnBack(&u)
}

// softmaxGrad makes z the gradient.
func (p *seg) softmaxGrad(u *segUnit) {
	p.softmax(u)
	for k := range p.k {
		for i, column := range [3]int{graph.SumP, graph.SumPT, graph.SumCE} {
			u.d[3*k+i] = p.cotangent(u.n, k, column)
		}
	}
	p.flat.pick(u.args)
	if p.op.Gamma != 0 {
		p.focalShare(u)
	}
	if p.op.Regions == nil {
		p.flat.classGrad(u.args)
	} else {
		p.regionGrad(u)
	}
	if p.op.Smoothing != 0 {
		p.smoothedGrad(u)
	}
}

// focalShare makes −B·r of B.
func (p *seg) focalShare(u *segUnit) {
	ce := u.row[segCE]
	for i, c := range u.row[segClass] {
		if c >= 0 {
			k := int(c)
			logq := -(math.Log(float64(u.row[segTotal][i])) + float64(u.row[segTop][i]-u.z[k*p.block+i]))
			ce[i] *= -p.focal(logq, p.others(u, i, k), u.p[k*p.block+i])
		}
	}
}

// regionGrad makes z the gradient of a softmax whose classes are wanted for more than
// one label.
func (p *seg) regionGrad(u *segUnit) {
	for i, c := range u.row[segClass] {
		if c < 0 {
			for k := range p.k {
				u.z[k*p.block+i] = 0
			}
			continue
		}
		mean := float32(0)
		for k := range p.k {
			mean += p.regionCotangent(u, i, k) * u.p[k*p.block+i]
		}
		for k := range p.k {
			x, one := u.p[k*p.block+i], float32(0)
			if k == int(c) {
				one = 1
			}
			u.z[k*p.block+i] = x*(p.regionCotangent(u, i, k)-mean) + u.row[segCE][i]*(x-one)
		}
	}
}

// regionCotangent is A of voxel i.
func (p *seg) regionCotangent(u *segUnit, i, k int) float32 {
	return u.d[3*k] + u.d[3*k+1]*p.wants[k][u.labels[i]]
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

// sigmoidGrads makes z the gradient.
func (p *seg) sigmoidGrads(u *segUnit) {
	for k := range p.k {
		z, prob, t := p.of(u, u.z, k), p.of(u, u.p, k), p.want(u, k)
		dp, dpt, dce := p.cotangent(u.n, k, graph.SumP), p.cotangent(u.n, k, graph.SumPT), p.cotangent(u.n, k, graph.SumCE)
		p.flat.sigmoid(&prob[0], u.args.total, &z[0], u.args.vectors)
		if p.op.Gamma == 0 {
			p.flat.sigmoidGrad(&z[0], &prob[0], &t[0], u.args.class, u.args.vectors, dp, dpt, dce)
			continue
		}
		p.log(u)
		for i, c := range u.row[segClass] {
			if c < 0 {
				z[i] = 0
				continue
			}
			x := prob[i]
			z[i] = (dp+dpt*t[i])*x*(1-x) + dce*p.focalGrad(u, i, z[i], t[i])
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
