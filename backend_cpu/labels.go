package cpu

import (
	"github.com/gounet/gounet/core/backend"
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
	stretched bool // along W, positions are not just the voxels
	stretch   stretching
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
	for i, b := range l.axes[2] {
		l.stretched = l.stretched || b.f != 0 || b.i0 != i
	}
	l.stretched = l.stretched || op.Out[2] != l.size[2]
	l.stretch = s.stretching(l.axes[2])
	l.index = s.flat.blendIndex(l.k)
	in, out := l.columns()
	s.pool.reserve(need{worker: 4*l.size[2]*l.k + l.size[2] + l.room() + (ceil(l.k, s.isa.lanes)*s.isa.lanes)*in + l.k*out + out/4 + 3*l.k})
	return []part{s.parallel(op.Planes*ceil(op.Out[1], labelRows), l.unit)}
}

// columns is the length of rows of one class: of the accumulator, and of the result.
//
//go:noinline
func (l *labeler) columns() (in, out int) {
	lanes := max(l.flat.lanes, l.isa.lanes)
	return ceil(l.size[2], lanes)*lanes + 2*lanes, ceil(l.op.Out[2], lanes) * lanes
}

// room is what toRows may read behind a row.
func (l *labeler) room() int { return (2 + min(l.k, len(l.flat.split))) * l.isa.lanes }

// labelRow is the memory of a worker.
type labelRow struct {
	z, to  []float32 // logits [K in], and along the rows of the result [K out]
	labels []byte
	args   *lossRows
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
	m := w.scratch
	take := func(n int) []float32 {
		r := m[:n:n]
		m = m[n:]
		return r
	}
	n := l.size[2] * l.k
	in, out := l.columns()
	r := &labelRow{z: take(ceil(l.k, l.isa.lanes) * l.isa.lanes * in), to: take(l.k * out), labels: backend.F32Bytes(take(out / 4)), args: &w.loss}
	l.arguments(r, take(3*l.k))
	share, spare := take(l.size[2]), take(n)
	rows, sum := [2][]float32{take(n), take(n)}, take(n+l.room())
	holds := [2]int{-1, -1}
	at := l.axes[0][d]
	for h := h0; h < h1; h++ {
		b := l.axes[1][h]
		labels := l.labels[(plane*height+h)*width:][:width]
		if !l.stretched && at.f == 0 && b.f == 0 { // norm does not change which logit is the largest
			l.decide(labels, l.acc[l.voxel(at.i0, b.i0)*l.k:], r)
			continue
		}
		if holds[0] != b.i0 && holds[1] == b.i0 {
			rows[0], rows[1], holds[0], holds[1] = rows[1], rows[0], holds[1], holds[0]
		}
		if holds[0] != b.i0 {
			l.row(rows[0], spare, share, at, b.i0)
			holds[0] = b.i0
		}
		if b.f > 0 && holds[1] != b.i1 {
			l.row(rows[1], spare, share, at, b.i1)
			holds[1] = b.i1
		}
		if b.f > 0 {
			l.mix(sum[:n], rows[0], rows[1], b.f)
		} else {
			copy(sum, rows[0])
		}
		l.decide(labels, sum, r)
	}
}

// arguments fills those of the kernels that decide; d has room for [K 3].
func (l *labeler) arguments(r *labelRow, d []float32) {
	in, out := l.columns()
	*r.args = lossRows{z: &r.z[0], d: &d[0], k: l.k, step: 4 * in, vectors: out / l.flat.lanes, labels: &r.labels[0]}
	if l.stretched {
		r.args.z, r.args.step = &r.to[0], 4*out
	}
	for k := range l.k {
		d[3*k] = float32(k)
		if l.op.Regions != nil {
			d[3*k] = float32(l.op.Regions[k])
		}
	}
}

// decide makes the labels of a row of logits [W K], behind which is room or not: that of
// the first largest; with regions, that of the last region whose logit is above 0.
func (l *labeler) decide(labels []byte, values []float32, r *labelRow) {
	in, out := l.columns()
	l.toRows(r.z, in, values, l.k, l.size[2])
	if l.stretched {
		for k := range l.k {
			l.stretch.run(r.to[k*out:][:out], r.z[k*in:][:in])
		}
	}
	if l.op.Regions == nil {
		l.flat.firstLargest(r.args)
	} else {
		l.flat.lastAbove(r.args)
	}
	copy(labels, r.labels)
}

// mix makes y = (1 − f)·a + f·b.
func (l *labeler) mix(y, a, b []float32, f float32) {
	n := len(y) / l.flat.lanes * l.flat.lanes
	if n > 0 {
		l.flat.mix(&y[0], &a[0], &b[0], n/l.flat.lanes, f)
	}
	for i := n; i < len(y); i++ {
		y[i] = float32((1-f)*a[i]) + float32(f*b[i])
	}
}

// row makes the logits acc/norm of row h between two planes.
func (l *labeler) row(dst, spare, share []float32, d between, h int) {
	l.divide(dst, share, d.i0, h)
	if d.f > 0 {
		l.divide(spare, share, d.i1, h)
		l.mix(dst, dst, spare, d.f)
	}
}

// voxel is the first of row h of plane d of the volume.
func (l *labeler) voxel(d, h int) int { return (d%l.size[0]*l.size[1] + h) * l.size[2] }

// at is row h of plane d of the volume, in acc and norm.
func (l *labeler) at(d, h int) (acc, norm []float32) {
	i := l.voxel(d, h)
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
