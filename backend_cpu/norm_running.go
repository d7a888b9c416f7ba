package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// track moves running statistics.
func (s *scope) track(op graph.Track, n graph.Node) []part {
	stats, mean, variance := s.f32(n.In[0]), s.f32(n.In[1]), s.f32(n.In[2])
	momentum, count := float64(op.Momentum), float64(op.Count)
	return []part{serial(func() {
		for c := range mean {
			rstd := float64(stats[2*c+1])
			v := max(0, 1/(rstd*rstd)-float64(op.Eps)) * count / (count - 1)
			mean[c] += float32(momentum * (float64(stats[2*c]) - float64(mean[c])))
			variance[c] += float32(momentum * (v - float64(variance[c])))
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
