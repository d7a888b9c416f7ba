package mesh

// The corners of a cell are numbered by their bits: x is 1, y is 2, z is 4. Its edges
// are 4 along x, then 4 along y, then 4 along z, each from the corner whose bit of
// that axis is 0.
var edges = func() (e [12][2]int) {
	n := 0
	for axis := range 3 {
		for c := range 8 {
			if c&(1<<axis) == 0 {
				e[n] = [2]int{c, c | 1<<axis}
				n++
			}
		}
	}
	return e
}()

// edgeBetween is the number of the edge of two corners.
func edgeBetween(a, b int) int {
	for i, e := range edges {
		if e == [2]int{min(a, b), max(a, b)} {
			return i
		}
	}
	panic("mesh: corners without an edge")
}

// faces are the corners of each side of a cell, counterclockwise seen from outside,
// where x, y, z are right-handed.
var faces = [6][4]int{
	{0, 4, 6, 2}, {1, 3, 7, 5}, // x = 0, x = 1
	{0, 1, 5, 4}, {2, 6, 7, 3}, // y
	{0, 2, 3, 1}, {4, 5, 7, 6}, // z
}

// triangles has, for each set of corners inside (a bit a corner), the edges whose
// middles are the vertices of the surface in the cell, three a triangle, counter-
// clockwise seen from outside the structure.
//
// It is made by a rule instead of the 256 lines of Lorensen and Cline: on each face
// the surface cuts off every run of inside corners by itself. Two cells that share a
// face cut it in the same lines, in opposite directions, so that every surface is
// closed and has one outside, also where the classic table leaves holes. The lines
// around a cell form rings, which become fans.
var triangles = func() (table [256][]uint8) {
	for inside := range table {
		var next [12]int // edge that the line from an edge's middle leads to, plus 1
		for _, f := range faces {
			for i := range f {
				a, b := f[i], f[(i+1)%4]
				if !has(inside, a) || has(inside, b) {
					continue
				}
				// The run of inside corners ends here; it starts behind an outside one.
				j := i
				for has(inside, f[(j+3)%4]) {
					j = (j + 3) % 4
				}
				next[edgeBetween(a, b)] = edgeBetween(f[(j+3)%4], f[j]) + 1
			}
		}
		for start := range next {
			var ring []uint8
			for e := start; next[e] != 0; {
				ring = append(ring, uint8(e))
				e, next[e] = next[e]-1, 0
			}
			for i := 2; i < len(ring); i++ {
				table[inside] = append(table[inside], ring[0], ring[i], ring[i-1])
			}
		}
	}
	return table
}()

func has(set, corner int) bool { return set>>corner&1 != 0 }
