package cpu

import (
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

// value is element i of t.
func (t tensor) value(i int) float32 {
	switch t.dtype {
	case graph.BF16:
		return half.FromBF16(t.u16[i])
	case graph.F16:
		return half.FromF16(t.u16[i])
	}
	return t.f32[i]
}

func (t tensor) set(i int, x float32) {
	switch t.dtype {
	case graph.BF16:
		t.u16[i] = half.ToBF16(x)
	case graph.F16:
		t.u16[i] = half.ToF16(x)
	default:
		t.f32[i] = x
	}
}

// naiveUp is a transposed convolution in its plainest form: small is x, large y.
type naiveUp struct {
	small, large graph.Shape
	s            [3]int
}

// at is the voxel of small and the tap that voxel o of large belongs to.
func (u *naiveUp) at(o int) (i, tap int) {
	l := u.large
	w, h, d, n := o%l[3], o/l[3]%l[2], o/(l[3]*l[2])%l[1], o/(l[3]*l[2]*l[1])
	i = ((n*u.small[1]+d/u.s[0])*u.small[2]+h/u.s[1])*u.small[3] + w/u.s[2]
	tap = (d%u.s[0]*u.s[1]+h%u.s[1])*u.s[2] + w%u.s[2]
	return i, tap
}

func (u *naiveUp) voxels() int { return u.large[0] * u.large[1] * u.large[2] * u.large[3] }

func (s *scope) upConv3D(n graph.Node) []part {
	x, w, b, y := s.tensor(n.In[0]), s.tensor(n.In[1]), s.f32(n.In[2]), s.tensor(n.Out[0])
	u := &naiveUp{s.Type(n.In[0]).Shape, s.Type(n.Out[0]).Shape, [3]int(s.Type(n.In[1]).Shape[:3])}
	ci, co := u.small[4], u.large[4]
	return []part{s.parallel(u.voxels(), func(_ *worker, o int) {
		i, tap := u.at(o)
		for k := range co {
			sum := b[k]
			for c := range ci {
				sum += x.value(i*ci+c) * w.value((tap*ci+c)*co+k)
			}
			y.set(o*co+k, sum)
		}
	})}
}

func (s *scope) upConv3DGradInput(n graph.Node) []part {
	dy, w, dx := s.tensor(n.In[0]), s.tensor(n.In[1]), s.tensor(n.Out[0])
	u := &naiveUp{s.Type(n.Out[0]).Shape, s.Type(n.In[0]).Shape, [3]int(s.Type(n.In[1]).Shape[:3])}
	ci, co := u.small[4], u.large[4]
	return []part{s.parallel(ci, func(_ *worker, c int) {
		sums := make([]float32, u.voxels()/(u.s[0]*u.s[1]*u.s[2]))
		for o := range u.voxels() {
			i, tap := u.at(o)
			for k := range co {
				sums[i] += dy.value(o*co+k) * w.value((tap*ci+c)*co+k)
			}
		}
		for i, x := range sums {
			dx.set(i*ci+c, x)
		}
	})}
}

func (s *scope) upConv3DGradWeight(n graph.Node) []part {
	dy, x, dw, db := s.tensor(n.In[0]), s.tensor(n.In[1]), s.f32(n.Out[0]), s.f32(n.Out[1])
	u := &naiveUp{s.Type(n.In[1]).Shape, s.Type(n.In[0]).Shape, [3]int(s.Type(n.Out[0]).Shape[:3])}
	ci, co := u.small[4], u.large[4]
	return []part{s.parallel(ci, func(_ *worker, c int) {
		for tap := range u.s[0] * u.s[1] * u.s[2] {
			clear(dw[(tap*ci+c)*co:][:co])
		}
		for o := range u.voxels() {
			i, tap := u.at(o)
			v := x.value(i*ci + c)
			for k := range co {
				dw[(tap*ci+c)*co+k] += v * dy.value(o*co+k)
			}
		}
		if c == 0 {
			clear(db)
			for o := range u.voxels() {
				for k := range co {
					db[k] += dy.value(o*co + k)
				}
			}
		}
	})}
}
