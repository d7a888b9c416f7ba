package cpu

import (
	"slices"

	"github.com/gounet/gounet/core/graph"
)

// between is a position on an axis: a share f of voxel i1, the rest of i0.
type between struct {
	i0, i1 int
	f      float32
}

// halfPixel is where voxel o of an axis of m voxels lies on one of n:
// (o + ½)·n/m − ½, clamped.
func halfPixel(o, n, m int) between {
	// In units of 1/2m voxel, so that it is exact.
	p := max(0, (2*o+1)*n-m)
	i := p / (2 * m)
	if i >= n-1 {
		return between{n - 1, n - 1, 0}
	}
	return between{i, i + 1, float32(float64(p%(2*m)) / float64(2*m))}
}

// axis is the positions of m voxels on an axis of n.
func axis(n, m int, nearest bool) []between {
	list := make([]between, m)
	for o := range list {
		if list[o] = halfPixel(o, n, m); nearest {
			i := (2*o + 1) * n / (2 * m)
			list[o] = between{i, i, 0}
		}
	}
	return list
}

// labeler is a Labels. A unit is a few rows of a plane of the result.
type labeler struct {
	*scope
	op        graph.Labels
	acc, norm []float32
	ctl       []float32
	labels    []byte
	size      [3]int // S H W of the accumulator
	k         int
	axes      [3][]between
	whole     bool // along W, all positions are voxels
	index     []int32
}

// labelRows is the rows of a unit.
const labelRows = 8

// labels decides.
func (s *scope) labels(op graph.Labels, n graph.Node) []part {
	a := s.Type(n.In[0]).Shape
	l := &labeler{
		scope: s, op: op, acc: s.f32(n.In[0]), norm: s.f32(n.In[1]), ctl: s.f32(n.In[2]),
		labels: s.bytes(n.Out[0]), size: [3]int(a[:3]), k: a[3],
	}
	for i, size := range [3]int{op.Depth, a[1], a[2]} {
		l.axes[i] = axis(size, op.Out[i], op.Nearest[i])
	}
	l.whole = !slices.ContainsFunc(l.axes[2], func(b between) bool { return b.f != 0 })
	l.index = s.flat.blendIndex(l.k)
	s.pool.reserve(need{worker: l.size[2] * (4*l.k + 1)})
	return []part{s.parallel(op.Planes*ceil(op.Out[1], labelRows), l.unit)}
}

func (l *labeler) unit(w *worker, unit int) {
	height, width := l.op.Out[1], l.op.Out[2]
	bands := ceil(height, labelRows)
	plane, h0 := unit/bands, unit%bands*labelRows
	h1 := min(h0+labelRows, height)
	d := int(l.ctl[l.op.Ctl]) + plane
	if d < 0 || d >= l.op.Out[0] {
		clear(l.labels[(plane*height+h0)*width : (plane*height+h1)*width])
		return
	}
	n := l.size[2] * l.k
	m := w.scratch
	rows, sum, spare, share := [2][]float32{m[:n], m[n : 2*n]}, m[2*n:3*n], m[3*n:4*n], m[4*n:][:l.size[2]]
	holds := [2]int{-1, -1}
	at := l.axes[0][d]
	for h := h0; h < h1; h++ {
		b := l.axes[1][h]
		out := l.labels[(plane*height+h)*width:][:width]
		if l.whole && at.f == 0 && b.f == 0 { // norm does not change which logit is the largest
			acc, _ := l.at(at.i0, b.i0)
			l.decide(out, acc)
			continue
		}
		if holds[0] != b.i0 && holds[1] == b.i0 {
			rows[0], rows[1], holds[0], holds[1] = rows[1], rows[0], holds[1], holds[0]
		}
		if holds[0] != b.i0 {
			l.row(rows[0], spare, share, at, b.i0)
			holds[0] = b.i0
		}
		values := rows[0]
		if b.f > 0 {
			if holds[1] != b.i1 {
				l.row(rows[1], spare, share, at, b.i1)
				holds[1] = b.i1
			}
			mix(sum, rows[0], rows[1], b.f)
			values = sum
		}
		l.decide(out, values)
	}
}

// mix makes y = (1 − f)·a + f·b.
func mix(y, a, b []float32, f float32) {
	a, b = a[:len(y)], b[:len(y)]
	for i := range y {
		y[i] = (1-f)*a[i] + f*b[i]
	}
}

// row makes the logits acc/norm of row h between two planes.
func (l *labeler) row(dst, spare, share []float32, d between, h int) {
	l.divide(dst, share, d.i0, h)
	if d.f > 0 {
		l.divide(spare, share, d.i1, h)
		mix(dst, dst, spare, d.f)
	}
}

// at is row h of plane d of the volume, in acc and norm.
func (l *labeler) at(d, h int) (acc, norm []float32) {
	i := (d%l.size[0]*l.size[1] + h) * l.size[2]
	return l.acc[i*l.k:][:l.size[2]*l.k], l.norm[i:][:l.size[2]]
}

// divide makes acc/norm of row h of plane d of the volume.
func (l *labeler) divide(dst, share []float32, d, h int) {
	acc, norm := l.at(d, h)
	for i, n := range norm {
		share[i] = 1 / n
	}
	clear(dst)
	l.flat.blendRow(dst, acc, share, l.index, l.k)
}

// decide makes the labels of a row of logits [W K]: that of the first largest;
// with regions, that of the last region whose logit is above 0.
func (l *labeler) decide(labels []byte, values []float32) {
	k := l.k
	for i, at := range l.axes[2] {
		a, b, f, g := values[at.i0*k:][:k], values[at.i1*k:][:k], at.f, 1-at.f
		label := 0
		if l.op.Regions != nil {
			for c, x := range a {
				if g*x+f*b[c] > 0 {
					label = int(l.op.Regions[c])
				}
			}
		} else {
			best := g*a[0] + f*b[0]
			for c := 1; c < len(a); c++ {
				if v := g*a[c] + f*b[c]; v > best {
					best, label = v, c
				}
			}
		}
		labels[i] = byte(label)
	}
}
