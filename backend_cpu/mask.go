package cpu

import "github.com/gounet/gounet/core/graph"

// mask makes y: x, and 0 in the chosen channels of voxels outside of the scan.
func (s *scope) mask(op graph.Mask, n graph.Node) []part {
	t := s.Type(n.In[0]).Shape
	x, labels, y := s.tensor(n.In[0]), s.bytes(n.In[1]), s.tensor(n.Out[0])
	row, c := t[3], t[4]
	s.pool.reserve(need{worker: 2 * row * c})
	return []part{s.parallel(t[0]*t[1]*t[2], func(w *worker, unit int) {
		in := s.isa.read(x, unit*row*c, row*c, w.scratch[row*c:])
		out := s.isa.target(y, unit*row*c, row*c, w.scratch)
		copy(out, in)
		for i, l := range labels[unit*row:][:row] {
			if l != outside {
				continue
			}
			for k, chosen := range op.Channels {
				if chosen {
					out[i*c+k] = 0
				}
			}
		}
		s.isa.flush(y, unit*row*c, out)
	})}
}
