package backendtest

import "github.com/gounet/gounet/core/graph"

func cut(op graph.Cut, store, ctl, y array) {
	c := 1
	if len(store.typ.Shape) == 2 {
		c = store.typ.Shape[1]
	}
	to := 0
	for n := range op.N {
		row := ctl.v[op.Ctl+n*graph.CutLen:]
		whole := func(i int) int { return int(row[i].v) }
		first := whole(graph.CutFirst) + whole(graph.CutFirst+1)<<16
		var size, corner [3]int
		for a := range 3 {
			size[a], corner[a] = whole(graph.CutSize+a), whole(graph.CutCorner+a)
		}
		voxels(op.Crop, func(i [3]int) {
			o := plus(corner, i)
			for k := range c {
				y.v[to].v = float64(op.Fill)
				if inside(o, size) {
					y.v[to] = store.v[(first+(o[0]*size[1]+o[1])*size[2]+o[2])*c+k]
				}
				to++
			}
		})
	}
}
