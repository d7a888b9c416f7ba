//go:build !predict

package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// several is the ops of norms over several devices; nil of others.
func (s *scope) several(n graph.Node) []part {
	switch op := n.Op.(type) {
	case graph.Moments:
		return s.moments(op, n)
	case graph.Merged:
		return s.merged(op, n)
	case graph.NormActGradSums:
		return s.normActGradSums(op, n)
	case graph.NormActGradInput:
		return s.normActGradInput(op, n)
	}
	return nil
}

// moments makes a row of mean and variance of the channels of all samples, and 0 in the
// rows of other devices.
func (s *scope) moments(op graph.Moments, n graph.Node) []part {
	p := s.normPlan(1, graph.Pool{Batch: true}, n.In[0], 0, 0, 0)
	parts := s.f32(n.Out[0])
	return []part{
		s.parallel(p.n*p.units, p.moments),
		s.parallel(p.n*ceil(p.c, channelGroup), func(_ *worker, unit int) { p.statistics(unit, 0) }),
		serial(func() {
			clear(parts)
			row := parts[op.Rank*p.c*2:]
			p.sets(func(n0, n1, c0, c1 int) {
				mean, variance := p.pooled(n0, n1, c0, c1)
				row[2*c0], row[2*c0+1] = float32(mean), float32(variance)
			})
		}),
	}
}

// merged makes statistics of the moments of devices.
func (s *scope) merged(op graph.Merged, n graph.Node) []part {
	parts, stats := s.f32(n.In[0]), s.f32(n.Out[0])
	t := s.Type(n.In[0]).Shape
	count, c := float64(t[0]), t[1]
	return []part{serial(func() {
		for i := range c {
			mean, variance := 0.0, 0.0
			for j := i; j < t[0]*c; j += c {
				mean += float64(parts[2*j]) / count
			}
			for j := i; j < t[0]*c; j += c {
				d := float64(parts[2*j]) - mean
				variance += (float64(parts[2*j+1]) + d*d) / count
			}
			rstd := float32(1 / math.Sqrt(variance+float64(op.Eps)))
			for j := i; j < op.N*c; j += c {
				stats[2*j], stats[2*j+1] = float32(mean), rstd
			}
		}
	})}
}

// normActGradSums makes dγ, dβ and the sums of each sample.
func (s *scope) normActGradSums(op graph.NormActGradSums, n graph.Node) []part {
	p := &normGrad{
		normPlan: s.normPlan(op.Slope, graph.Pool{Batch: true}, n.In[1], n.In[2], n.In[3], n.In[4]),
		dy:       s.tensor(n.In[0]), dgamma: s.f32(n.Out[0]), dbeta: s.f32(n.Out[1]), shared: s.f32(n.Out[2]),
	}
	return p.reduced()
}

// normActGradInput makes dx of the sums of all samples.
func (s *scope) normActGradInput(op graph.NormActGradInput, n graph.Node) []part {
	p := &normGrad{
		normPlan: s.normPlan(op.Slope, graph.Pool{Batch: true}, n.In[1], n.In[2], n.In[3], n.In[4]),
		dy:       s.tensor(n.In[0]), dx: s.tensor(n.Out[0]), shared: s.f32(n.In[5]),
	}
	return []part{
		s.parallel(p.n*ceil(p.c, channelGroup), func(_ *worker, unit int) { p.columns(unit) }),
		serial(func() { p.spreadSums(float64(op.Count)) }),
		s.parallel(p.n*p.units, p.apply),
	}
}

// spreadSums makes k0 and k1 of the sums over count values:
//
//	k0 = scale·Σg/count   k1 = scale·rstd·Σ(g·x̂)/count
func (p *normGrad) spreadSums(count float64) {
	for c := range p.c {
		g, gx := 0.0, 0.0
		for i := c; i < p.n*p.c; i += p.c {
			g += float64(p.shared[2*i])
			gx += float64(p.shared[2*i+1])
		}
		rstd := float64(p.stats[2*c+1])
		scale := rstd * float64(p.gamma[c]) / count
		for n := range p.n {
			p.spread(p.column(n, 3), c, float32(scale*g))
			p.spread(p.column(n, 4), c, float32(scale*rstd*gx))
		}
	}
}
