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
		var q corner
		t := centred(i, patch[2])
		p.locate(&q, [3]float64{at[0] + t*step[0], at[1] + t*step[1], at[2] + t*step[2]})
		q.sample(out[i*p.c:][:p.c], src)
		p.y[off+i] = q.label(labels)
	}
	p.isa.flush(p.x, off*p.c, out)
}

// centred is voxel i, counted from the centre of an axis of n.
func centred(i, n int) float64 { return float64(i) - float64(n-1)/2 }

// corner is the voxels around a position that have a weight.
type corner struct {
	n       int
	index   [8]int // of the voxel in the source; −1 outside
	weights [8]float64
}

// locate finds the voxels around q.
func (p *warper) locate(c *corner, q [3]float64) {
	var low [3]int
	var f [3]float64
	for a, x := range q {
		// Beyond the source by more than a voxel all is outside, however far.
		x = min(max(x, -2), float64(p.size[a])+1)
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

// sample interpolates the channels of src.
func (c *corner) sample(out, src []float32) {
	for j := range out {
		sum := 0.0
		for k, i := range c.index[:c.n] {
			if i >= 0 {
				sum += c.weights[k] * float64(src[i*len(out)+j])
			}
		}
		out[j] = float32(sum)
	}
}

// label is the label with the largest weight, the smaller one of equals.
func (c *corner) label(labels []byte) byte {
	var ls [8]byte
	same := true
	for k, i := range c.index[:c.n] {
		if i >= 0 && labels[i] != 255 {
			ls[k] = labels[i]
		}
		same = same && ls[k] == ls[0]
	}
	if same {
		return ls[0]
	}
	best, most := byte(0), -1.0
	for _, l := range ls[:c.n] {
		sum := 0.0
		for j := range c.n {
			if ls[j] == l {
				sum += c.weights[j]
			}
		}
		if sum > most || sum == most && l < best {
			best, most = l, sum
		}
	}
	return best
}
