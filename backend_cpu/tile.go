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

// rowsTogether is how many rows of n elements are converted at once.
func rowsTogether(n int) int { return max(1, unitFloats/n) }

// tileLoad copies rows of the volume; a unit is a plane of a tile.
func (s *scope) tileLoad(op graph.TileLoad, n graph.Node) []part {
	volume, ctl, x := s.f32(n.In[0]), s.f32(n.In[1]), s.tensor(n.Out[0])
	shape := s.Type(n.In[0]).Shape
	size, c, tile := [3]int(shape[1:4]), shape[4], op.Tile
	width := tile[2] * c
	together := rowsTogether(width)
	s.pool.reserve(need{worker: together * width})
	return []part{s.parallel(op.N*tile[0], func(w *worker, unit int) {
		row := tileRowOf(ctl, op.Ctl, unit/tile[0])
		d := row.load[0] + fromEnd(unit%tile[0], tile[0], row.mirror[0])
		// Columns from … to of the tile, not mirrored, lie in the volume.
		from := min(max(0, -row.load[2]), tile[2])
		to := max(from, min(tile[2], size[2]-row.load[2]))
		before, after := from*c, (tile[2]-to)*c
		if row.mirror[2] {
			before, after = after, before
		}
		for first := 0; first < tile[1]; first += together {
			rows := min(together, tile[1]-first)
			off := (unit*tile[1] + first) * width
			all := s.isa.target(x, off, rows*width, w.scratch)
			for i := range rows {
				out := all[i*width:][:width]
				h := row.load[1] + fromEnd(first+i, tile[1], row.mirror[1])
				if d < 0 || d >= size[0] || h < 0 || h >= size[1] || from == to {
					clear(out)
					continue
				}
				src := volume[((d*size[1]+h)*size[2]+row.load[2]+from)*c:][:(to-from)*c]
				clear(out[:before])
				clear(out[width-after:])
				if row.mirror[2] {
					reverse(out[before:width-after], src, c)
				} else {
					copy(out[before:], src)
				}
			}
			s.isa.flush(x, off, all)
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
	together  int // rows of logits that are read at once
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
	b.together = min(blendRows, rowsTogether(b.tile[2]*b.k))
	s.pool.reserve(need{worker: b.tile[2] * (1 + b.k*(1+b.together))})
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
			to := min(h1, row.blend[1]+b.tile[1])
			for h := max(h0, row.blend[1]); h < to; h += b.together {
				b.rows(w, r, &row, plane, h, min(h+b.together, to), i)
			}
		}
	}
}

// rows adds those of plane i of tile r, not mirrored, that lie at rows h … to of a plane.
func (b *blender) rows(w *worker, r int, row *tileRow, plane, h, to, i int) {
	j, n, k := h-row.blend[1], to-h, b.k
	first := j
	if row.mirror[1] {
		first = b.tile[1] - j - n
	}
	width := b.tile[2]
	z := (r*b.tile[0]+fromEnd(i, b.tile[0], row.mirror[0]))*b.tile[1] + first
	logits := b.isa.read(b.logits, z*width*k, n*width*k, w.scratch[width*(1+k):])
	for l := range n {
		b.row(w, row, plane, h+l, i, j+l, logits[fromEnd(l, n, row.mirror[1])*width*k:][:width*k])
	}
}

// row adds the logits of row i, j of a tile to row h of a plane.
func (b *blender) row(w *worker, row *tileRow, plane, h, i, j int, logits []float32) {
	from := min(max(0, -row.blend[2]), b.tile[2])
	to := min(b.tile[2], b.size[2]-row.blend[2])
	if from >= to {
		return
	}
	width, k := b.tile[2], b.k
	weight, back := w.scratch[:to-from], w.scratch[width:][:width*k]
	for x, v := range b.weights[(i*b.tile[1]+j)*width:][from:to] {
		weight[x] = row.weight * v
	}
	if row.mirror[2] {
		reverse(back, logits, k)
		logits = back
	}
	at := (plane*b.size[1]+h)*b.size[2] + row.blend[2] + from
	b.flat.addScaled(b.norm[at:][:to-from], weight, 1)
	b.flat.blendRow(b.acc[at*k:][:(to-from)*k], logits[from*k:to*k], weight, b.index, k)
}
