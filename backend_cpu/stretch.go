package cpu

// stretching is the positions of the voxels of an axis on another, for vectors.
type stretching struct {
	kernel       func(y, x *float32, base, i0, i1 *int32, f *float32, vectors int)
	base, i0, i1 []int32 // nil where the voxels of a vector lie too far apart
	f            []float32
	list         []between
}

func (s *scope) stretching(list []between) stretching {
	lanes := s.flat.lanes
	vectors := ceil(len(list), lanes)
	t := stretching{
		kernel: s.flat.stretch, list: list, base: make([]int32, vectors),
		i0: make([]int32, vectors*lanes), i1: make([]int32, vectors*lanes), f: make([]float32, vectors*lanes),
	}
	for i, b := range list {
		base := list[i/lanes*lanes].i0
		t.base[i/lanes], t.i0[i], t.i1[i], t.f[i] = int32(base), int32(b.i0-base), int32(b.i1-base), b.f
		if b.i1-base >= 2*lanes {
			t.base = nil
			return t
		}
	}
	return t
}

// run makes y [voxels, to whole vectors] of x, which has room for two vectors behind the
// last voxel: (1 − f)·x[i0] + f·x[i1], each product rounded.
func (t *stretching) run(y, x []float32) {
	if t.base != nil {
		t.kernel(&y[0], &x[0], &t.base[0], &t.i0[0], &t.i1[0], &t.f[0], len(t.base))
		return
	}
	for i, b := range t.list {
		y[i] = float32((1-b.f)*x[b.i0]) + float32(b.f*x[b.i1])
	}
}
