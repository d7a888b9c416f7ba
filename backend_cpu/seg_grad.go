package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// segGrad makes dlogits. With A = dp + t·dpt of a class, B the cotangent of the
// cross entropy that a voxel's label takes, q the probability of what is wanted:
//
//	softmax  dz[k] = p[k]·(A[k] − Σ A·p) + B·r·([k is the class] − p[k])
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
	off, length := (u.n*p.v+u.first)*p.k, u.count*p.k
	out := p.isa.target(p.dlogits, off, length, u.stored)
	if u.valid == 0 {
		clear(out)
		p.isa.flush(p.dlogits, off, out)
		return
	}
	p.activate(&u)
	if p.op.Act == graph.Sigmoid {
		p.sigmoidGrad(&u)
	} else {
		p.softmaxGrad(&u)
	}
	p.turnBack(&u)
	n := u.count * p.k
	p.isa.put(p.dlogits, off, n, u.stored, n, 1, n)
}

// softmaxGrad makes z the gradient.
func (p *seg) softmaxGrad(u *segUnit) {
	mean, ce := u.rows[segRowA][:u.count], u.rows[segRowB][:u.count]
	for i, l := range u.labels {
		c := int(p.class[l])
		ce[i] = -p.cotangent(u.n, c, graph.SumCE)
		if p.op.Gamma != 0 {
			ce[i] *= -p.slope(u.rows[segTotal][i], u.rows[segTop][i]-u.z[c*p.block+i], p.others(u, i, c), u.p[c*p.block+i])
		}
		if int(l) == p.op.Ignore {
			ce[i] = 0
		}
	}
	clear(mean)
	for k := range p.k {
		prob, wants := p.row(u, u.p, k), &p.wants[k]
		dp, dpt := p.cotangent(u.n, k, graph.SumP), p.cotangent(u.n, k, graph.SumPT)
		for i, l := range u.labels {
			mean[i] += (dp + wants[l]*dpt) * prob[i]
		}
	}
	for k := range p.k {
		prob, wants, dz := p.row(u, u.p, k), &p.wants[k], p.row(u, u.z, k)
		dp, dpt := p.cotangent(u.n, k, graph.SumP), p.cotangent(u.n, k, graph.SumPT)
		for i, l := range u.labels {
			switch {
			case int(l) == p.op.Ignore:
				dz[i] = 0
			case int(p.class[l]) == k:
				dz[i] = prob[i]*(dp+wants[l]*dpt-mean[i]) + ce[i]*p.others(u, i, k)
			default:
				dz[i] = prob[i]*(dp+wants[l]*dpt-mean[i]) - ce[i]*prob[i]
			}
		}
	}
}

// slope is r for log q = −(log total + below), away = 1 − q.
func (p *seg) slope(total, below, away, q float32) float32 {
	gamma := float64(p.op.Gamma)
	logq := -(math.Log(float64(total)) + float64(below))
	return focal(gamma, logq, float64(away), float64(q))
}

// focal is r of segGrad.
func focal(gamma, logq, away, q float64) float32 {
	if away == 0 {
		return 0 // log q vanishes as fast as away does
	}
	return float32(gamma*q*math.Pow(away, gamma-1)*logq - math.Pow(away, gamma))
}

// sigmoidGrad makes z the gradient.
func (p *seg) sigmoidGrad(u *segUnit) {
	for k := range p.k {
		z, prob, wants := p.row(u, u.z, k), p.row(u, u.p, k), &p.wants[k]
		dp, dpt, dce := p.cotangent(u.n, k, graph.SumP), p.cotangent(u.n, k, graph.SumPT), p.cotangent(u.n, k, graph.SumCE)
		for i, l := range u.labels {
			if int(l) == p.op.Ignore {
				z[i] = 0
				continue
			}
			x := z[i]
			sign := float32(1)
			if wants[l] == 0 {
				x, sign = -x, -1
			}
			away, r := sigmoid(-x), float32(-1)
			if p.op.Gamma != 0 {
				r = focal(float64(p.op.Gamma), -float64(softplus(-x)), float64(away), float64(sigmoid(x)))
			}
			z[i] = (dp+wants[l]*dpt)*prob[i]*sigmoid(-z[i]) + sign*dce*away*r
		}
	}
}

// turnBack makes stored [count K] of z [K block].
func (p *seg) turnBack(u *segUnit) {
	for k := range p.k {
		for i, x := range p.row(u, u.z, k) {
			u.stored[i*p.k+k] = x
		}
	}
}
