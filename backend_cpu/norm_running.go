package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// estimate makes mean and variance of statistics.
func (s *scope) estimate(op graph.Estimate, n graph.Node) []part {
	stats, m, v := s.f32(n.In[0]), s.f32(n.Out[0]), s.f32(n.Out[1])
	count := float64(op.Count)
	return []part{serial(func() {
		for c := range m {
			rstd := float64(stats[2*c+1])
			m[c], v[c] = stats[2*c], float32(max(0, 1/(rstd*rstd)-float64(op.Eps))*count/(count-1))
		}
	})}
}

// track moves running statistics.
func (s *scope) track(op graph.Track, n graph.Node) []part {
	m, v, mean, variance := s.f32(n.In[0]), s.f32(n.In[1]), s.f32(n.In[2]), s.f32(n.In[3])
	momentum := float64(op.Momentum)
	return []part{serial(func() {
		for c := range mean {
			mean[c] += float32(momentum * (float64(m[c]) - float64(mean[c])))
			variance[c] += float32(momentum * (float64(v[c]) - float64(variance[c])))
		}
	})}
}

// running makes statistics of running ones.
func (s *scope) running(op graph.Running, n graph.Node) []part {
	mean, variance, stats := s.f32(n.In[0]), s.f32(n.In[1]), s.f32(n.Out[0])
	return []part{serial(func() {
		for i := range op.N * len(mean) {
			c := i % len(mean)
			stats[2*i], stats[2*i+1] = mean[c], float32(1/math.Sqrt(float64(variance[c])+float64(op.Eps)))
		}
	})}
}
