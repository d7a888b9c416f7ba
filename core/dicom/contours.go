package dicom

import (
	"cmp"
	"slices"
)

// inset is how far inside the edge of its voxels an outline runs, in voxels. Voxels'
// centres then lie clearly inside or outside, so that scan conversion gives back the
// same voxels; and readers that round points to voxels first, as rt-utils does, find
// the voxels at the border instead of ties.
const inset = 1.0 / 16

// channel is where the way to a hole leaves a column of an outline, in voxels below
// the centre of the row: on no centre and on no corner.
const channel = 1.0 / 4

// outline is a closed polygon in voxels, (column, row), whose first point is not
// repeated.
type outline [][2]float64

// edge names a piece of an outline: that which ends in point to of a ring.
type edge struct{ ring, to int }

// ring is the border of a region or of a hole in it, with the region on its right.
type ring struct {
	points outline
	hole   bool
	left   edge // the leftmost edge of a hole, which runs down
	x, y   int  // the voxel right of it
	holes  map[int][]attached
}

// attached is a hole that hangs on an edge.
type attached struct{ y, ring int }

// tracer finds the outlines of the voxels of one label in a slice.
type tracer struct {
	data          []uint8
	label         uint8
	width, height int
	x0, y0        int // of the box that is looked at
	w, h          int
	done          []bool // voxels whose upper edge was followed
	up            []edge // of each voxel's left edge
	rings         []ring
}

// outlines are polygons whose even-odd scan conversion at the centres of voxels is the
// set of voxels with the label, in the box [x0, x1) × [y0, y1) that has them all.
//
// Regions are connected by the sides of voxels, holes by sides and corners: voxels that
// touch at a corner are two polygons. A hole is joined to what surrounds it by a
// channel of no width along a row, the keyhole of PS3.3 C.8.8.6.3, since readers
// disagree about polygons in polygons: some fill the inner one, and CLOSEDPLANAR_XOR is
// skipped by those older than it. A channel lies between voxels of the region, so that
// readers who count its points as inside are right too.
func (t *tracer) outlines(data []uint8, label uint8, x0, y0, x1, y1 int) []outline {
	t.data, t.label, t.x0, t.y0, t.w, t.h = data, label, x0, y0, x1-x0, y1-y0
	t.done, t.up, t.rings = grown(t.done, t.w*t.h), grown(t.up, t.w*t.h), t.rings[:0]
	clear(t.done)
	for y := range t.h {
		for x := range t.w {
			if t.in(x, y) && !t.in(x, y-1) && !t.done[y*t.w+x] {
				t.follow(x, y)
			}
		}
	}
	for i := range t.rings {
		if t.rings[i].hole {
			t.attach(i)
		}
	}
	var out []outline
	for i := range t.rings {
		if r := &t.rings[i]; !r.hole {
			points := make(outline, 0, len(r.points))
			for k := range r.points {
				points = t.walk(points, i, k)
			}
			out = append(out, points)
		}
	}
	return out
}

// in says whether voxel (x, y) of the box has the label. What is outside has not.
func (t *tracer) in(x, y int) bool {
	return x >= 0 && y >= 0 && x < t.w && y < t.h && t.data[(t.y0+y)*t.width+t.x0+x] == t.label
}

// Directions: right, down, left, up. ahead has the voxels left and right in front of
// a corner (x, y), which is the upper left one of voxel (x, y).
var (
	steps = [4][2]int{{1, 0}, {0, 1}, {-1, 0}, {0, -1}}
	ahead = [4][2][2]int{{{0, -1}, {0, 0}}, {{0, 0}, {-1, 0}}, {{-1, 0}, {-1, -1}}, {{-1, -1}, {0, -1}}}
	// inward points from an edge to the voxel on its right.
	inward = [4][2]float64{{0, 1}, {-1, 0}, {0, -1}, {1, 0}}
)

// follow traces the ring that begins with the upper edge of voxel (x, y). That edge
// starts in a corner of the ring, since the first edge of a row of edges is found first.
func (t *tracer) follow(x, y int) {
	id := len(t.rings)
	r := ring{x: t.w}
	turns, d := 0, 0
	for cx, cy := x, y; ; {
		switch d {
		case 0:
			t.done[cy*t.w+cx] = true
		case 1:
			if cx < r.x { // the voxel right of a downward edge is outside of the region
				r.x, r.y, r.left = cx, cy, edge{id, len(r.points)}
			}
		case 3:
			t.up[(cy-1)*t.w+cx] = edge{id, len(r.points)}
		}
		cx, cy = cx+steps[d][0], cy+steps[d][1]
		next := d
		left, right := ahead[d][0], ahead[d][1]
		if !t.in(cx+right[0], cy+right[1]) {
			next = (d + 1) & 3 // also where the voxel on the left has the label: corners do not connect
			turns++
		} else if t.in(cx+left[0], cy+left[1]) {
			next = (d + 3) & 3
			turns--
		}
		if next != d {
			a, b := inward[d], inward[next]
			r.points = append(r.points, [2]float64{
				float64(t.x0+cx) - 0.5 + inset*(a[0]+b[0]), float64(t.y0+cy) - 0.5 + inset*(a[1]+b[1]),
			})
			d = next
		}
		if cx == x && cy == y && d == 0 {
			break
		}
	}
	r.hole = turns < 0
	t.rings = append(t.rings, r)
}

// attach finds the edge left of a hole, across the region, and hangs the hole on it.
// That edge is further left than the hole is, so that no circle can come about.
func (t *tracer) attach(hole int) {
	h := &t.rings[hole]
	x := h.x - 1
	for t.in(x-1, h.y) {
		x--
	}
	e := t.up[h.y*t.w+x]
	r := &t.rings[e.ring]
	if r.holes == nil {
		r.holes = map[int][]attached{}
	}
	r.holes[e.to] = append(r.holes[e.to], attached{h.y, hole})
}

// walk appends the edge of a ring that ends in point k, with the holes that hang on it
// from below to above, as the edge runs.
func (t *tracer) walk(points outline, id, k int) outline {
	r := &t.rings[id]
	hanging := r.holes[k]
	slices.SortFunc(hanging, func(a, b attached) int { return cmp.Compare(b.y, a.y) })
	for _, a := range hanging {
		h := &t.rings[a.ring]
		y := float64(t.y0+a.y) + channel
		out, in := [2]float64{r.points[k][0], y}, [2]float64{h.points[h.left.to][0], y}
		points = append(points, out, in)
		for i := range h.points {
			points = t.walk(points, a.ring, (h.left.to+i)%len(h.points))
		}
		points = append(points, in, out)
	}
	return append(points, r.points[k])
}
