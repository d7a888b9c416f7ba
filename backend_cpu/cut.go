package cpu

import "github.com/gounet/gounet/core/graph"

// cut copies rows of cases; a unit is a plane of a crop.
func (s *scope) cut(op graph.Cut, n graph.Node) []part {
	ctl, c := s.f32(n.In[1]), 1
	if shape := s.Type(n.In[0]).Shape; len(shape) == 2 {
		c = shape[1]
	}
	if s.Type(n.In[0]).DType == graph.U8 {
		return []part{s.parallel(op.N*op.Crop[0], cutPlane(op, s.bytes(n.In[0]), s.bytes(n.Out[0]), ctl, c))}
	}
	return []part{s.parallel(op.N*op.Crop[0], cutPlane(op, s.f32(n.In[0]), s.f32(n.Out[0]), ctl, c))}
}

func cutPlane[E float32 | uint8](op graph.Cut, store, y []E, ctl []float32, c int) func(*worker, int) {
	return func(_ *worker, unit int) {
		row := ctl[op.Ctl+unit/op.Crop[0]*graph.CutLen:][:graph.CutLen]
		first := int(row[graph.CutFirst]) + int(row[graph.CutFirst+1])<<16
		var size, corner [3]int
		for a := range 3 {
			size[a], corner[a] = int(row[graph.CutSize+a]), int(row[graph.CutCorner+a])
		}
		width := op.Crop[2]
		d := corner[0] + unit%op.Crop[0]
		// Columns from … to of the crop lie in the case.
		from := min(max(0, -corner[2]), width)
		to := max(from, min(width, size[2]-corner[2]))
		for i := range op.Crop[1] {
			h := corner[1] + i
			out := y[(unit*op.Crop[1]+i)*width*c:][:width*c]
			if d < 0 || d >= size[0] || h < 0 || h >= size[1] || from == to {
				fillWith(out, E(op.Fill))
				continue
			}
			fillWith(out[:from*c], E(op.Fill))
			copy(out[from*c:to*c], store[(first+(d*size[1]+h)*size[2]+corner[2]+from)*c:])
			fillWith(out[to*c:], E(op.Fill))
		}
	}
}

func fillWith[E any](s []E, v E) {
	for i := range s {
		s[i] = v
	}
}
