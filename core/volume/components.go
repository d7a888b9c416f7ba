package volume

import "slices"

// Connectivity says which voxels are neighbours.
type Connectivity int

// The connectivities of a voxel grid: how many neighbours a voxel has.
const (
	Faces   Connectivity = 6
	Edges   Connectivity = 18
	Corners Connectivity = 26
)

// run is a stretch of true voxels of one row, [from, to) along W.
type run struct{ from, to int32 }

// runs are the true voxels of a mask as stretches, with a forest over them that
// joins connected ones. The root of a tree is its first run in scan order.
type runs struct {
	shape  [3]int
	row    []int // runs of row r (of D*H) are run[row[r]:row[r+1]]
	run    []run
	parent []int32
}

// newRuns finds the stretches of voxels that equal value.
func newRuns(mask []bool, shape [3]int, value bool) *runs {
	rows, nW := shape[0]*shape[1], shape[2]
	r := &runs{shape: shape, row: make([]int, rows+1)}
	for i := range rows {
		line := mask[i*nW : (i+1)*nW]
		for w := 0; w < nW; {
			if line[w] != value {
				w++
				continue
			}
			from := w
			for w < nW && line[w] == value {
				w++
			}
			r.run = append(r.run, run{int32(from), int32(w)})
		}
		r.row[i+1] = len(r.run)
	}
	r.parent = make([]int32, len(r.run))
	for i := range r.parent {
		r.parent[i] = int32(i)
	}
	return r
}

// root is the first run of the component of run i.
func (r *runs) root(i int32) int32 {
	for r.parent[i] != i {
		r.parent[i] = r.parent[r.parent[i]]
		i = r.parent[i]
	}
	return i
}

// join makes the components of two runs one.
func (r *runs) join(i, j int32) {
	i, j = r.root(i), r.root(j)
	r.parent[max(i, j)] = min(i, j)
}

// connect joins all runs that touch.
func (r *runs) connect(c Connectivity) {
	earlier := earlierRows(c)
	for d := range r.shape[0] {
		for h := range r.shape[1] {
			here := d*r.shape[1] + h
			for _, n := range earlier {
				dd, hh := d+n.d, h+n.h
				if dd >= 0 && hh >= 0 && hh < r.shape[1] {
					r.connectRows(here, dd*r.shape[1]+hh, n.reach)
				}
			}
		}
	}
}

// rowOffset is a row next to another one; its runs touch when they overlap after
// being made longer by reach on both sides.
type rowOffset struct {
	d, h  int
	reach int32
}

// earlierRows are the rows before one that its voxels may touch.
func earlierRows(c Connectivity) []rowOffset {
	switch c {
	case Faces:
		return []rowOffset{{0, -1, 0}, {-1, 0, 0}}
	case Edges:
		return []rowOffset{{0, -1, 1}, {-1, 0, 1}, {-1, -1, 0}, {-1, 1, 0}}
	case Corners:
		return []rowOffset{{0, -1, 1}, {-1, 0, 1}, {-1, -1, 1}, {-1, 1, 1}}
	}
	panic("volume: connectivity is not 6, 18 or 26")
}

// connectRows joins the runs of two rows that touch.
func (r *runs) connectRows(a, b int, reach int32) {
	i, j := r.row[a], r.row[b]
	for i < r.row[a+1] && j < r.row[b+1] {
		x, y := r.run[i], r.run[j]
		if x.from < y.to+reach && y.from < x.to+reach {
			r.join(int32(i), int32(j))
		}
		if x.to < y.to {
			i++
		} else {
			j++
		}
	}
}

// each calls f for every run with the places of its voxels in [D H W].
func (r *runs) each(f func(i, from, to int)) {
	for row := range len(r.row) - 1 {
		base := row * r.shape[2]
		for i := r.row[row]; i < r.row[row+1]; i++ {
			f(i, base+int(r.run[i].from), base+int(r.run[i].to))
		}
	}
}

// Components numbers the connected components of mask [D H W] from 1 in the
// order of their first voxels, 0 where mask is false. sizes[i] is the number of
// voxels of component i+1.
func Components(mask []bool, shape [3]int, c Connectivity) (components []int32, sizes []int) {
	r := newRuns(mask, shape, true)
	r.connect(c)
	components = make([]int32, len(mask))
	number := make([]int32, len(r.run))
	r.each(func(i, from, to int) {
		root := r.root(int32(i))
		if number[root] == 0 {
			sizes = append(sizes, 0)
			number[root] = int32(len(sizes))
		}
		n := number[root]
		sizes[n-1] += to - from
		for v := from; v < to; v++ {
			components[v] = n
		}
	})
	return components, sizes
}

// ComponentBoxes are the bounding boxes of the connected components of mask [D H W], in
// the order of their first voxels.
func ComponentBoxes(mask []bool, shape [3]int, c Connectivity) []Box {
	r := newRuns(mask, shape, true)
	r.connect(c)
	var boxes []Box
	number := make([]int, len(r.run)) // of a root: its box, from 1
	r.each(func(i, from, to int) {
		row := from / shape[2]
		lo := [3]int{row / shape[1], row % shape[1], from % shape[2]}
		hi := [3]int{lo[0] + 1, lo[1] + 1, lo[2] + to - from}
		root := r.root(int32(i))
		if number[root] == 0 {
			boxes = append(boxes, Box{lo, hi})
			number[root] = len(boxes)
		}
		b := &boxes[number[root]-1]
		for a := range 3 {
			b.Lo[a], b.Hi[a] = min(b.Lo[a], lo[a]), max(b.Hi[a], hi[a])
		}
	})
	return boxes
}

// LargestComponent keeps the largest connected component of mask [D H W], or all
// of the largest ones where several have the same size, as nnU-Net's
// remove_all_but_largest_component does.
func LargestComponent(mask []bool, shape [3]int, c Connectivity) []bool {
	r := newRuns(mask, shape, true)
	r.connect(c)
	size := make([]int, len(r.run))
	r.each(func(i, from, to int) { size[r.root(int32(i))] += to - from })
	out := make([]bool, len(mask))
	if len(size) == 0 {
		return out
	}
	largest := slices.Max(size)
	r.each(func(i, from, to int) {
		if size[r.root(int32(i))] == largest {
			for v := from; v < to; v++ {
				out[v] = true
			}
		}
	})
	return out
}

// FillHoles sets, in place, the false voxels of mask [D H W] that no path over
// false faces joins to the border of the volume (scipy's binary_fill_holes). In a
// volume of one slice every voxel is at the border.
func FillHoles(mask []bool, shape [3]int) {
	r := newRuns(mask, shape, false)
	r.connect(Faces)
	open := make([]bool, len(r.run)) // of a root: its component reaches the border
	nD, nH, nW := shape[0], shape[1], shape[2]
	r.each(func(i, from, to int) {
		row := from / nW
		d, h := row/nH, row%nH
		border := d == 0 || d == nD-1 || h == 0 || h == nH-1
		if border || r.run[i].from == 0 || int(r.run[i].to) == nW {
			open[r.root(int32(i))] = true
		}
	})
	r.each(func(i, from, to int) {
		if !open[r.root(int32(i))] {
			for v := from; v < to; v++ {
				mask[v] = true
			}
		}
	})
}
