package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// warper is a Warp. A unit is a row of the patch.
type warper struct {
	*scope
	op     graph.Warp
	src    []float32
	labels []byte
	ctl    []float32
	field  []float32 // of an elastic one
	x      tensor
	y      []byte
	size   [3]int // of the source
	c      int
}

// warp makes x and y.
func (s *scope) warp(op graph.Warp, n graph.Node) []part {
	t := s.Type(n.In[0]).Shape
	p := &warper{
		scope: s, op: op, src: s.f32(n.In[0]), labels: s.bytes(n.In[1]), ctl: s.f32(n.In[2]),
		x: s.tensor(n.Out[0]), y: s.bytes(n.Out[1]), size: [3]int(t[1:4]), c: t[4],
	}
	if op.Elastic {
		p.field = s.f32(n.In[3])
	}
	s.pool.reserve(need{worker: op.Patch[2] * p.c})
	return []part{s.parallel(t[0]*op.Patch[0]*op.Patch[1], p.row)}
}

func (p *warper) row(w *worker, unit int) {
	patch := p.op.Patch
	n, d, h := unit/(patch[0]*patch[1]), unit/patch[1]%patch[0], unit%patch[1]
	m := p.ctl[p.op.Ctl+n*graph.WarpLen:][:graph.WarpLen]
	// Positions are f64: a label may hang on their last bits.
	var at, step [3]float64
	for a := range at {
		row := m[graph.RowAffine+3*a:][:3]
		step[a] = float64(row[2])
		at[a] = float64(row[0])*centred(d, patch[0]) + float64(row[1])*centred(h, patch[1]) + float64(m[graph.RowOffset+a])
	}
	voxels := p.size[0] * p.size[1] * p.size[2]
	src, labels := p.src[n*voxels*p.c:][:voxels*p.c], p.labels[n*voxels:][:voxels]
	off := unit * patch[2]
	out := p.isa.target(p.x, off*p.c, patch[2]*p.c, w.scratch)
	for i := range patch[2] {
		t := centred(i, patch[2])
		q := [3]float64{at[0] + t*step[0], at[1] + t*step[1], at[2] + t*step[2]}
		if p.field != nil {
			u := p.field[3*(off+i):][:3]
			for a := range q {
				row := m[graph.RowAffine+3*a:][:3]
				q[a] += float64(row[0])*float64(u[0]) + float64(row[1])*float64(u[1]) + float64(row[2])*float64(u[2])
			}
		}
		if p.op.Cubic {
			p.y[off+i] = p.cubic(q, out[i*p.c:][:p.c], src, labels)
			continue
		}
		if p.inside(q) {
			p.y[off+i] = p.between(q, out[i*p.c:][:p.c], src, labels)
		} else {
			p.y[off+i] = p.border(q, out[i*p.c:][:p.c], src, labels)
		}
		if p.op.Nearest {
			p.y[off+i] = p.nearest(q, labels)
		}
	}
	p.isa.flush(p.x, off*p.c, out)
}

// inside says that all voxels around q lie in the source.
func (p *warper) inside(q [3]float64) bool {
	return q[0] >= 0 && q[1] >= 0 && q[2] >= 0 &&
		q[0] < float64(p.size[0]-1) && q[1] < float64(p.size[1]-1) && q[2] < float64(p.size[2]-1)
}

// between interpolates the channels at q inside of the source and returns the
// label there.
func (p *warper) between(q [3]float64, out, src []float32, labels []byte) byte {
	d, h, w := int(q[0]), int(q[1]), int(q[2])
	fd, fh, fw := float32(q[0]-float64(d)), float32(q[1]-float64(h)), float32(q[2]-float64(w))
	row := p.size[2]
	plane := p.size[1] * row
	at := (d*p.size[1]+h)*row + w
	c := len(out)
	s00, s01 := src[at*c:][:2*c], src[(at+row)*c:][:2*c]
	s10, s11 := src[(at+plane)*c:][:2*c], src[(at+plane+row)*c:][:2*c]
	for j := range out {
		near := bilinear(s00[j], s00[c+j], s01[j], s01[c+j], fh, fw)
		far := bilinear(s10[j], s10[c+j], s11[j], s11[c+j], fh, fw)
		out[j] = (1-fd)*near + fd*far
	}
	l00, l01 := labels[at:][:2], labels[at+row:][:2]
	l10, l11 := labels[at+plane:][:2], labels[at+plane+row:][:2]
	l := l00[0]
	if l == l00[1] && l == l01[0] && l == l01[1] && l == l10[0] && l == l10[1] && l == l11[0] && l == l11[1] {
		return l
	}
	k := corner{n: 8}
	k.labels = [8]byte{l + 1, l00[1] + 1, l01[0] + 1, l01[1] + 1, l10[0] + 1, l10[1] + 1, l11[0] + 1, l11[1] + 1}
	t := q[0] - float64(d)
	u := q[1] - float64(h)
	v := q[2] - float64(w)
	near, far := (1-t)*(1-u), (1-t)*u
	k.weights[0], k.weights[1], k.weights[2], k.weights[3] = near*(1-v), near*v, far*(1-v), far*v
	near, far = t*(1-u), t*u
	k.weights[4], k.weights[5], k.weights[6], k.weights[7] = near*(1-v), near*v, far*(1-v), far*v
	return k.label()
}

// border does what between does where voxels lie outside of the source.
func (p *warper) border(q [3]float64, out, src []float32, labels []byte) byte {
	for a, x := range q {
		if x <= -1 || x >= float64(p.size[a]) {
			clear(out)
			return outside
		}
	}
	var k corner
	p.locate(&k, q)
	clear(out)
	for i, at := range k.index[:k.n] {
		if at < 0 {
			continue
		}
		k.labels[i] = labels[at] + 1
		for j, x := range src[at*len(out):][:len(out)] {
			out[j] += float32(k.weights[i]) * x
		}
	}
	return k.label()
}

// nearest is the label of the voxel next to q.
func (p *warper) nearest(q [3]float64, labels []byte) byte {
	next := 0
	for a, x := range q {
		near := int(math.Floor(x + 0.5))
		if near < 0 || near >= p.size[a] {
			return outside
		}
		next = next*p.size[a] + near
	}
	return labels[next]
}

// cubic convolves the channels around q and returns the label of the voxel next to it.
func (p *warper) cubic(q [3]float64, out, src []float32, labels []byte) byte {
	clear(out)
	var index [3][4]int
	var weights [3][4]float64
	next := 0
	for a, x := range q {
		near := int(math.Floor(x + 0.5))
		if near < 0 || near >= p.size[a] {
			return outside
		}
		next = next*p.size[a] + near
		low := math.Floor(x)
		for k := range 4 {
			index[a][k] = min(max(int(low)+k-1, 0), p.size[a]-1)
			weights[a][k] = keys(math.Abs(x - low - float64(k-1)))
		}
	}
	for d, wd := range weights[0] {
		for h, wh := range weights[1] {
			for w, ww := range weights[2] {
				weight := float32(wd * wh * ww)
				if weight == 0 {
					continue
				}
				at := (index[0][d]*p.size[1]+index[1][h])*p.size[2] + index[2][w]
				for j, x := range src[at*len(out):][:len(out)] {
					out[j] += weight * x
				}
			}
		}
	}
	return labels[next]
}

// keys is the weight of a voxel that is t ≤ 2 away.
func keys(t float64) float64 {
	if t <= 1 {
		return (1.5*t-2.5)*t*t + 1
	}
	return ((-0.5*t+2.5)*t-4)*t + 2
}

// centred is voxel i, counted from the centre of an axis of n.
func centred(i, n int) float64 { return float64(i) - float64(n-1)/2 }

// outside is the label of what is not in the scan.
const outside = 255

// corner is the voxels around a position that have a weight.
type corner struct {
	n       int
	index   [8]int  // of the voxel in the source; −1 outside
	labels  [8]byte // plus 1: 0 is outside, and wins among equals
	weights [8]float64
}

// locate finds the voxels around q.
func (p *warper) locate(c *corner, q [3]float64) {
	var low [3]int
	var f [3]float64
	for a, x := range q {
		fl := math.Floor(x)
		low[a], f[a] = int(fl), x-fl
	}
	for k := range 8 {
		w, index, inside := 1.0, 0, true
		for a := range 3 {
			i := low[a]
			if k>>(2-a)&1 == 1 {
				i++
				w *= f[a]
			} else {
				w *= 1 - f[a]
			}
			inside = inside && i >= 0 && i < p.size[a]
			index = index*p.size[a] + i
		}
		if w == 0 {
			continue
		}
		if !inside {
			index = -1
		}
		c.index[c.n], c.weights[c.n] = index, w
		c.n++
	}
}

// label is the label with the largest weight, the first one of equals.
func (c *corner) label() byte {
	first, second, more := int(c.labels[0]), -1, false
	var one, two float64
	for k, w := range c.weights[:c.n] {
		switch l := int(c.labels[k]); {
		case l == first:
			one += w
		case l == second || second < 0:
			second = l
			two += w
		default:
			more = true
		}
	}
	switch {
	case more:
		return c.heaviest()
	case two > one || two == one && second >= 0 && second < first:
		return byte(second - 1)
	}
	return byte(first - 1)
}

// heaviest is label for any number of labels.
func (c *corner) heaviest() byte {
	best, most := byte(0), -1.0
	for k := range c.n {
		l, sum := c.labels[k], 0.0
		for j, w := range c.weights[:c.n] {
			if c.labels[j] == l {
				sum += w
			}
		}
		if sum > most || sum == most && l < best {
			best, most = l, sum
		}
	}
	return best - 1
}
