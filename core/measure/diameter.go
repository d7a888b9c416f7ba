package measure

import (
	"cmp"
	"math"
	"slices"

	"github.com/gounet/gounet/core/mesh"
	"github.com/gounet/gounet/core/volume"
)

// flat is a point of a plane in half voxels, which are exact.
type flat struct{ p, q int }

// point is a place in mm.
type point [3]float64

func (a point) minus(b point) point { return point{a[0] - b[0], a[1] - b[1], a[2] - b[2]} }

func (a point) dot(b point) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }

func (a point) length() float64 { return math.Sqrt(a.dot(a)) }

// diameters finds the largest distances. The two points of the largest one are
// corners of the convex hull, so of the points in each plane of voxels (and between
// planes) only the corners of their own hull are looked at.
func (s *Structure) diameters(l *volume.Labels, b box) {
	place := mesh.Place(l.Grid)
	axis := axialAxis(l.Grid)
	pAxis, qAxis := (axis+1)%3, (axis+2)%3
	at := func(f flat, k float64) (o point) {
		v := [3]float64{}
		v[pAxis], v[qAxis], v[axis] = float64(f.p)/2, float64(f.q)/2, k
		for r := range 3 {
			o[r] = place[r][0]*v[0] + place[r][1]*v[1] + place[r][2]*v[2] + place[r][3]
		}
		return o
	}
	var all []point
	planes := newPlanes(l, s.Label, b, axis)
	for k := b.lo[axis]; k <= b.hi[axis]; k++ {
		corners := hull(planes.slice(k))
		points := make([]point, len(corners))
		for i, c := range corners {
			points[i] = at(c, float64(k))
		}
		all = append(all, points...)
		if length, a, b := farthest(points); length > float64(s.AxialMM) {
			s.AxialMM, s.AxialSlice = number(length), k
			s.AxialWidthMM = number(across(points, b.minus(a), at(flat{2, 0}, 0).minus(at(flat{}, 0)), at(flat{0, 2}, 0).minus(at(flat{}, 0))))
		}
	}
	for k, list := range planes.between() {
		if l.Picture() {
			break // nothing lies above it
		}
		for _, c := range hull(list) {
			all = append(all, at(c, float64(k)/2))
		}
	}
	length, _, _ := farthest(all)
	s.FeretMM = number(length)
}

// axialAxis is the voxel axis (0 is x) nearest to the line from feet to head.
func axialAxis(g volume.Grid) int {
	best, axis := -1.0, 2
	if g.Affine == ([4][4]float64{}) {
		return axis
	}
	for a := range 3 {
		v := point{g.Affine[0][a], g.Affine[1][a], g.Affine[2][a]}
		if c := math.Abs(v[2]) / v.length(); c > best+1e-9 {
			best, axis = c, a
		}
	}
	return axis
}

// planes are the slices of a structure across an axis, as the outermost voxels of
// each line.
type planes struct {
	l            *volume.Labels
	label        uint8
	b            box
	axis, pA, qA int
	stride       [3]int
	first, last  []int // along the axis, of each line of it
}

func newPlanes(l *volume.Labels, label uint8, b box, axis int) *planes {
	p := &planes{
		l: l, label: label, b: b, axis: axis, pA: (axis + 1) % 3, qA: (axis + 2) % 3,
		stride: [3]int{1, l.Shape[2], l.Shape[1] * l.Shape[2]},
	}
	n := p.width(p.pA) * p.width(p.qA)
	p.first, p.last = make([]int, n), make([]int, n)
	for i := range n {
		p.first[i] = -1
	}
	return p
}

func (p *planes) width(a int) int { return p.b.hi[a] - p.b.lo[a] + 1 }

// slice gives the surface points of slice k that lie in its plane and may be corners
// of its hull.
func (p *planes) slice(k int) (out []flat) {
	nP, nQ := p.width(p.pA), p.width(p.qA)
	firstQ, lastQ := make([]int, nP), make([]int, nP)
	for i := range firstQ {
		firstQ[i] = -1
	}
	for j := range nQ {
		q := p.b.lo[p.qA] + j
		base := k*p.stride[p.axis] + q*p.stride[p.qA] + p.b.lo[p.pA]*p.stride[p.pA]
		first, last := -1, -1
		for i := range nP {
			if p.l.Data[base+i*p.stride[p.pA]] != p.label {
				continue
			}
			if first < 0 {
				first = i
			}
			last = i
			if firstQ[i] < 0 {
				firstQ[i] = q
			}
			lastQ[i] = q
			line := j*nP + i
			if p.first[line] < 0 {
				p.first[line] = k
			}
			p.last[line] = k
		}
		if first >= 0 {
			lo := p.b.lo[p.pA]
			out = append(out, flat{2*(lo+first) - 1, 2 * q}, flat{2*(lo+last) + 1, 2 * q})
		}
	}
	for i := range nP {
		if firstQ[i] >= 0 {
			x := 2 * (p.b.lo[p.pA] + i)
			out = append(out, flat{x, 2*firstQ[i] - 1}, flat{x, 2*lastQ[i] + 1})
		}
	}
	return out
}

// between gives the surface points between slices, by twice their place along the
// axis. All slices must have been looked at.
func (p *planes) between() map[int][]flat {
	out := map[int][]flat{}
	nP := p.width(p.pA)
	for line, first := range p.first {
		if first < 0 {
			continue
		}
		f := flat{2 * (p.b.lo[p.pA] + line%nP), 2 * (p.b.lo[p.qA] + line/nP)}
		out[2*first-1] = append(out[2*first-1], f)
		out[2*p.last[line]+1] = append(out[2*p.last[line]+1], f)
	}
	return out
}

// hull is the convex hull of points, its corners in order (Andrew's monotone chain).
func hull(points []flat) []flat {
	slices.SortFunc(points, func(a, b flat) int { return cmp.Or(cmp.Compare(a.p, b.p), cmp.Compare(a.q, b.q)) })
	points = slices.Compact(points)
	if len(points) < 3 {
		return points
	}
	chain := func(points []flat) (out []flat) {
		for _, c := range points {
			for len(out) > 1 {
				a, b := out[len(out)-2], out[len(out)-1]
				if (b.p-a.p)*(c.q-a.q)-(b.q-a.q)*(c.p-a.p) > 0 {
					break
				}
				out = out[:len(out)-1]
			}
			out = append(out, c)
		}
		return out[:len(out)-1]
	}
	lower := chain(points)
	slices.Reverse(points)
	return append(lower, chain(points)...)
}

// farthest finds the two points with the largest distance. Points are taken by their
// distance to the middle of a long pair; two that together are not farther from it
// than the best pair is long cannot be better, nor can those behind them.
func farthest(points []point) (length float64, a, b point) {
	if len(points) == 0 {
		return 0, a, b
	}
	a, b = points[0], points[0]
	for range 4 { // a long pair to start with: to the farthest, and from there again
		next, best := b, length
		for _, c := range points {
			if d := c.minus(b).length(); d > best {
				next, best = c, d
			}
		}
		if best == length {
			break
		}
		length, a, b = best, b, next
	}
	middle := point{(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2}
	type far struct {
		point
		r float64
	}
	list := make([]far, len(points))
	for i, c := range points {
		list[i] = far{c, c.minus(middle).length()}
	}
	slices.SortFunc(list, func(a, b far) int { return cmp.Compare(b.r, a.r) })
	for i, c := range list {
		if i > 0 && c.r+list[0].r <= length {
			break
		}
		for _, d := range list[:i] {
			if c.r+d.r <= length {
				break
			}
			if v := c.minus(d.point).length(); v > length {
				length, a, b = v, c.point, d.point
			}
		}
	}
	return length, a, b
}

// across is the extent of points in their plane, which x and y span, perpendicular to
// the direction d.
func across(points []point, d, x, y point) float64 {
	n := d.length()
	if n == 0 {
		return 0
	}
	u := point{d[0] / n, d[1] / n, d[2] / n}
	var w point
	for _, v := range []point{x, y} {
		c := v.dot(u)
		v = v.minus(point{c * u[0], c * u[1], c * u[2]})
		if v.length() > w.length() {
			w = v
		}
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, c := range points {
		at := c.dot(w) / w.length()
		lo, hi = min(lo, at), max(hi, at)
	}
	return hi - lo
}
