package mesh

import (
	"errors"
	"math"

	"github.com/gounet/gounet/core/volume"
)

// cells are the cubes between eight voxel centres each, over the box of a label and
// a voxel around it.
type cells struct {
	l     *volume.Labels
	label uint8
	lo    [3]int // first corner of the first cell, in x y z; −1 lies before the scan
	n     [3]int // cells along x y z

	points    [][3]float64 // in voxels, x y z
	triangles [][3]uint32
}

// box is where a label is, in x y z, both ends included; empty where hi is −1.
type box struct{ lo, hi [3]int }

// boxesOf passes once over l.
func boxesOf(l *volume.Labels) (b [256]box) {
	for v := range b {
		b[v] = box{[3]int{math.MaxInt, math.MaxInt, math.MaxInt}, [3]int{-1, -1, -1}}
	}
	w := l.Shape[2]
	for row := range l.Shape[0] * l.Shape[1] {
		y, z := row%l.Shape[1], row/l.Shape[1]
		line := l.Data[row*w : (row+1)*w]
		for x := 0; x < w; { // by runs, of which there are few
			v, from := line[x], x
			for x < w && line[x] == v {
				x++
			}
			b := &b[v]
			b.lo = [3]int{min(b.lo[0], from), min(b.lo[1], y), min(b.lo[2], z)}
			b.hi = [3]int{max(b.hi[0], x-1), max(b.hi[1], y), max(b.hi[2], z)}
		}
	}
	return b
}

func newCells(l *volume.Labels, label uint8, b box) *cells {
	c := &cells{l: l, label: label}
	for a := range 3 {
		c.lo[a], c.n[a] = b.lo[a]-1, b.hi[a]-b.lo[a]+2
	}
	return c
}

// slice fills inside with the corners at z (of the scan), (n[1]+1) rows of n[0]+1.
func (c *cells) slice(inside []uint8, z int) {
	clear(inside)
	shape := c.l.Shape
	if z < 0 || z >= shape[0] {
		return
	}
	for j := range c.n[1] + 1 {
		y := c.lo[1] + j
		if y < 0 || y >= shape[1] {
			continue
		}
		row := c.l.Data[(z*shape[1]+y)*shape[2]:][:shape[2]]
		for i := range c.n[0] + 1 {
			if x := c.lo[0] + i; x >= 0 && x < shape[2] && row[x] == c.label {
				inside[j*(c.n[0]+1)+i] = 1
			}
		}
	}
}

// layer is what neighbouring cells share: the corners at one z and the vertices, plus
// 1, on the edges that start there.
type layer struct {
	inside   []uint8
	vertices [3][]uint32 // by the axis of the edge
}

// march makes the surface, slab by slab of cells.
func (c *cells) march() error {
	wide := c.n[0] + 1
	size := wide * (c.n[1] + 1)
	var layers [2]layer
	for i := range layers {
		layers[i].inside = make([]uint8, size)
		for a := range 3 {
			layers[i].vertices[a] = make([]uint32, size)
		}
	}
	c.slice(layers[0].inside, c.lo[2])
	for k := range c.n[2] {
		low, high := &layers[k%2], &layers[(k+1)%2]
		c.slice(high.inside, c.lo[2]+k+1)
		for a := range 3 {
			clear(high.vertices[a])
		}
		for j := range c.n[1] {
			for i := range c.n[0] {
				at := j*wide + i
				set := 0
				for corner, offset := range [4]int{0, 1, wide, wide + 1} {
					set |= int(low.inside[at+offset])<<corner | int(high.inside[at+offset])<<(corner+4)
				}
				if set == 0 || set == 255 {
					continue
				}
				c.cell([3]int{i, j, k}, set, low, high)
			}
		}
		if len(c.points) > math.MaxUint32/2 {
			return errors.New("mesh: more than 2³¹ vertices")
		}
	}
	return nil
}

// cell adds the triangles of one cell.
func (c *cells) cell(at [3]int, set int, low, high *layer) {
	wide := c.n[0] + 1
	list := triangles[set]
	for t := 0; t < len(list); t += 3 {
		var tri [3]uint32
		for v := range 3 {
			e := int(list[t+v])
			axis, corner := e/4, edges[e][0]
			l := low
			if corner&4 != 0 {
				l = high
			}
			x, y, z := at[0]+corner&1, at[1]+corner>>1&1, at[2]+corner>>2
			id := &l.vertices[axis][y*wide+x]
			if *id == 0 {
				p := [3]float64{float64(c.lo[0] + x), float64(c.lo[1] + y), float64(c.lo[2] + z)}
				p[axis] += 0.5
				c.points = append(c.points, p)
				*id = uint32(len(c.points))
			}
			tri[v] = *id - 1
		}
		c.triangles = append(c.triangles, tri)
	}
}
