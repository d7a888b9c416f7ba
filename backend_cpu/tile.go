package cpu

import (
	"github.com/gounet/gounet/core/graph"
)

// tileRow is a row of ctl.
type tileRow struct {
	load, blend [3]int
	mirror      [3]bool
	weight      float32
}

func tileRowOf(ctl []float32, first, r int) tileRow {
	v := ctl[first+r*graph.RowLen:][:graph.RowLen]
	row := tileRow{weight: v[graph.RowWeight]}
	for a := range 3 {
		row.load[a], row.blend[a] = int(v[graph.RowLoad+a]), int(v[graph.RowBlend+a])
		row.mirror[a] = int(v[graph.RowMirror])>>a&1 == 1
	}
	return row
}

// fromEnd is i counted from the other end of an axis of n voxels, if so.
func fromEnd(i, n int, mirror bool) int {
	if mirror {
		return n - 1 - i
	}
	return i
}

// reverse makes dst the voxels of src, c elements each, from the last to the first.
func reverse(dst, src []float32, c int) {
	if c == 1 {
		for i, x := range src {
			dst[len(dst)-1-i] = x
		}
		return
	}
	for i, j := 0, len(src)-c; j >= 0; i, j = i+c, j-c {
		copy(dst[i:i+c], src[j:j+c])
	}
}

// tileLoad copies rows of the volume; a unit is a plane of a tile.
func (s *scope) tileLoad(op graph.TileLoad, n graph.Node) []part {
	volume, ctl, x := s.f32(n.In[0]), s.f32(n.In[1]), s.tensor(n.Out[0])
	shape := s.Type(n.In[0]).Shape
	size, c, tile := [3]int(shape[1:4]), shape[4], op.Tile
	width := tile[2] * c
	s.pool.reserve(need{worker: width})
	return []part{s.parallel(op.N*tile[0], func(w *worker, unit int) {
		row := tileRowOf(ctl, op.Ctl, unit/tile[0])
		d := row.load[0] + fromEnd(unit%tile[0], tile[0], row.mirror[0])
		// Columns from … to of the tile, not mirrored, lie in the volume.
		from := min(max(0, -row.load[2]), tile[2])
		to := max(from, min(tile[2], size[2]-row.load[2]))
		for i := range tile[1] {
			h := row.load[1] + fromEnd(i, tile[1], row.mirror[1])
			off := (unit*tile[1] + i) * width
			out := s.isa.target(x, off, width, w.scratch)
			if d < 0 || d >= size[0] || h < 0 || h >= size[1] || from == to {
				clear(out)
				s.isa.flush(x, off, out)
				continue
			}
			src := volume[((d*size[1]+h)*size[2]+row.load[2]+from)*c:][:(to-from)*c]
			if row.mirror[2] {
				clear(out[:(tile[2]-to)*c])
				reverse(out[(tile[2]-to)*c:(tile[2]-from)*c], src, c)
				clear(out[(tile[2]-from)*c:])
			} else {
				clear(out[:from*c])
				copy(out[from*c:], src)
				clear(out[to*c:])
			}
			s.isa.flush(x, off, out)
		}
	})}
}

// blender is a TileBlend. A unit is a few rows of a plane of the accumulator: it
// adds what all tiles have for them, in order.
type blender struct {
	*scope
	op        graph.TileBlend
	logits    tensor
	weights   []float32
	ctl       []float32
	acc, norm []float32
	n, k      int
	tile      [3]int
	size      [3]int // S H W of the accumulator
	index     []int32
}

// blendRows is the rows of a unit.
const blendRows = 16

// tileBlend adds logits to acc, and weights to norm.
func (s *scope) tileBlend(op graph.TileBlend, n graph.Node) []part {
	z, a := s.Type(n.In[0]).Shape, s.Type(n.In[3]).Shape
	b := &blender{
		scope: s, op: op, logits: s.tensor(n.In[0]), weights: s.f32(n.In[1]), ctl: s.f32(n.In[2]),
		acc: s.f32(n.In[3]), norm: s.f32(n.In[4]), n: z[0], k: z[4], tile: [3]int(z[1:4]), size: [3]int(a[:3]),
		index: s.flat.blendIndex(z[4]),
	}
	s.pool.reserve(need{worker: b.tile[2] * (2*b.k + 1)})
	return []part{s.parallel(b.size[0]*ceil(b.size[1], blendRows), b.unit)}
}

func (b *blender) unit(w *worker, unit int) {
	bands := ceil(b.size[1], blendRows)
	plane, h0 := unit/bands, unit%bands*blendRows
	h1 := min(h0+blendRows, b.size[1])
	for r := range b.n {
		row := tileRowOf(b.ctl, b.op.Ctl, r)
		if row.weight == 0 {
			continue
		}
		for i := range b.tile[0] {
			if d := row.blend[0] + i; d < 0 || d >= b.op.Depth || d%b.size[0] != plane {
				continue
			}
			for h := max(h0, row.blend[1]); h < min(h1, row.blend[1]+b.tile[1]); h++ {
				b.row(w, r, &row, plane, h, i, h-row.blend[1])
			}
		}
	}
}

// row adds row i, j of tile r, not mirrored, to row h of a plane.
func (b *blender) row(w *worker, r int, row *tileRow, plane, h, i, j int) {
	from := min(max(0, -row.blend[2]), b.tile[2])
	to := min(b.tile[2], b.size[2]-row.blend[2])
	if from >= to {
		return
	}
	width, k := b.tile[2], b.k
	weight := w.scratch[:to-from]
	for x, v := range b.weights[(i*b.tile[1]+j)*width:][from:to] {
		weight[x] = row.weight * v
	}
	z := (r*b.tile[0]+fromEnd(i, b.tile[0], row.mirror[0]))*b.tile[1] + fromEnd(j, b.tile[1], row.mirror[1])
	buf, back := w.scratch[width:][:width*k], w.scratch[width*(1+k):][:width*k]
	logits := b.isa.read(b.logits, z*width*k, width*k, buf)
	if row.mirror[2] {
		reverse(back, logits, k)
		logits = back
	}
	at := (plane*b.size[1]+h)*b.size[2] + row.blend[2] + from
	b.flat.addScaled(b.norm[at:][:to-from], weight, 1)
	b.flat.blendRow(b.acc[at*k:][:(to-from)*k], logits[from*k:to*k], weight, b.index, k)
}
