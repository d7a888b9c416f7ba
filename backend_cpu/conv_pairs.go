package cpu

import (
	"unsafe"

	"github.com/gounet/gounet/core/graph"
)

// Kernels for operands in bf16 multiply two pairs at once and add both products
// to an f32 (VDPBF16PS). A pair takes the place of an f32: rows, panels and
// tiles keep their shapes, and have half as many steps k:
//
//	gather  c[i][j] += a[i*aStep + k][0] * b[k][j][0] + a[i*aStep + k][1] * b[k][j][1]
//
// A pair of k is two channels in a gather, two voxels in an outer. Where k is
// odd, the last pair ends with zeros in both a and b.
//
// Products of bf16 are exact in f32, and each is added with one rounding, as in
// the f32 kernels: the same bound holds for the error of a sum. Numbers below
// the smallest normal f32 count as zeros.
//
// A core that starts a multiply-add of vectors and one of pairs at the same rate
// does twice the FLOP in bf16; a gather reads half the bytes for its operands,
// an outer as many as in f32, for each voxel stands in two pairs.

// pairing is what the 32 bits of a copied row hold.
type pairing uint8

const (
	single       pairing = iota // an f32
	channelPairs                // two channels of a voxel
	voxelPairs                  // a channel of a voxel, and of the voxel that the next one of the grid sees
)

// of is the kernels for operands of the given storage types.
func (s *isa) of(operands ...graph.DType) *isa {
	if s.pairs == nil {
		return s
	}
	for _, d := range operands {
		if d != graph.BF16 {
			return s
		}
	}
	return s.pairs
}

// steps is how many steps of k the kernels need for n channels or voxels.
func (s *isa) steps(n int) int {
	if s.paired {
		return ceil(n, 2)
	}
	return n
}

// asPairs reads two elements as one f32, whose value means nothing.
func asPairs(u []uint16) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(u))), len(u)/2)
}

// asHalves reads f32 as two elements each.
func asHalves(f []float32) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(f))), 2*len(f))
}

// zeros are half a pair where there is no other. Nothing writes them.
var zeros [512]uint16

// pair joins elements: dst[r*dstStep+i] = lo[r*step+i], hi[r*step+i] for i <
// width. lo or hi may be nil for zeros.
func (s *isa) pair(dst []float32, dstStep int, lo, hi []uint16, step, rows, width int) {
	if rows == 0 || width == 0 {
		return
	}
	if lo != nil && hi != nil && dstStep == width && step == width {
		rows, width = 1, rows*width
	}
	limit := width
	if lo == nil || hi == nil {
		limit = len(zeros)
	}
	done := 0
	for width-done >= s.lanes {
		vectors := min(width-done, limit) / s.lanes
		_ = dst[(rows-1)*dstStep+done+vectors*s.lanes-1]
		l, loStep := s.half(lo, done, step, (rows-1)*step+done+vectors*s.lanes)
		h, hiStep := s.half(hi, done, step, (rows-1)*step+done+vectors*s.lanes)
		s.weave(unsafe.Pointer(&dst[done]), l, h, rows, vectors, 4*dstStep, loStep, hiStep)
		done += vectors * s.lanes
	}
	if done == width {
		return
	}
	to := asHalves(dst)
	for r := range rows {
		for i := done; i < width; i++ {
			at := 2 * (r*dstStep + i)
			to[at], to[at+1] = 0, 0
			if lo != nil {
				to[at] = lo[r*step+i]
			}
			if hi != nil {
				to[at+1] = hi[r*step+i]
			}
		}
	}
}

// half is the address of u[from] and the bytes from row to row; u has at least
// n elements.
func (s *isa) half(u []uint16, from, step, n int) (at unsafe.Pointer, bytes int) {
	if u == nil {
		return unsafe.Pointer(&zeros), 0
	}
	_ = u[n-1]
	return unsafe.Pointer(&u[from]), 2 * step
}

// pack reads rows of t as the b of the kernels: as fetch does it, or, for
// kernels of pairs, rows 2k and 2k+1 side by side.
func (s *isa) pack(dst []float32, dstStep int, t tensor, off, step, rows, width int) {
	if !s.paired {
		s.fetch(dst, dstStep, t, off, step, rows, width)
		return
	}
	if pairs := rows / 2; pairs > 0 {
		s.pair(dst, dstStep, t.u16[off:], t.u16[off+step:], 2*step, pairs, width)
	}
	if rows%2 == 1 {
		s.pair(dst[rows/2*dstStep:], dstStep, t.u16[off+(rows-1)*step:], nil, 0, 1, width)
	}
}

// channelRow fills the voxels of dst that begin at input column from with the
// pairs of their channels.
func (s *source) channelRow(dst []float32, n, d, h, from, count int) {
	step, to := s.cin(), 0
	if (s.c[0]+s.c[1])*s.fold%2 == 1 {
		clear(dst[:count*step]) // the other half of the last pair
	}
	for f := range s.fold {
		for t, c := range s.c {
			if c > 0 && h+f >= 0 && h+f < s.size[1] {
				src := s.in[t].u16[s.voxel(n, d, h+f, from)*c:][:count*c]
				if c%2 == 0 && to%2 == 0 {
					s.isa.fetch(dst[to/2:], step, f32s(asPairs(src)), 0, c/2, count, c/2)
				} else {
					halves := asHalves(dst)[to:]
					for v := range count {
						copy(halves[2*step*v:][:c], src[v*c:])
					}
				}
			}
			to += c
		}
	}
}

// voxelRow fills dst with the copy's row that begins at input row (n, d, h): each
// channel of a voxel beside that of the voxel gridStep further.
func (s *source) voxelRow(dst []float32, n, d, h int) {
	step, g, width := s.cin(), s.gridStep, s.size[2]
	// Columns from which one, both or the other voxel are in the input.
	pieces := [...]struct {
		from, to int
		lo, hi   bool
	}{{-g, min(0, width-g), false, true}, {0, width - g, true, true}, {max(0, width-g), width, true, false}}
	to, done := 0, 0
	for _, p := range pieces {
		v := min(max(p.from-s.w0, 0), s.w)
		end := min(max(p.to-s.w0, v), s.w)
		if done < v {
			clear(dst[done*step : v*step])
		}
		done = max(done, end)
	}
	clear(dst[done*step : s.w*step])
	if h < 0 || h+s.fold > s.size[1] {
		clear(dst[:s.w*step])
	}
	for f := range s.fold {
		for t, c := range s.c {
			for _, p := range pieces {
				v := min(max(p.from-s.w0, 0), s.w)
				end := min(max(p.to-s.w0, v), s.w)
				if c == 0 || v == end || h+f < 0 || h+f >= s.size[1] {
					continue
				}
				var lo, hi []uint16
				if p.lo {
					lo = s.in[t].u16[s.voxel(n, d, h+f, s.w0+v)*c:]
				}
				if p.hi {
					hi = s.in[t].u16[s.voxel(n, d, h+f, s.w0+v+g)*c:]
				}
				s.isa.pair(dst[v*step+to:], step, lo, hi, c, end-v, c)
			}
			to += c
		}
	}
}

// convPairs brings weights into panels of pairs of channels: a panel of one
// (kd, kh, kw), or, with a fold, (kd, kw), a unit.
type convPairs conv

// units is how many units there are.
func (p *convPairs) units() int {
	return size(p.shape.Kernel).volume() / p.fold * len(p.y.classes[0].panels)
}

func (p *convPairs) do(_ *worker, unit int) {
	c := (*conv)(p)
	class := &c.y.classes[0]
	tap, pn := unit/len(class.panels), class.panels[unit%len(class.panels)]
	cin, pairs, nr := c.shape.C1+c.shape.C2, c.y.src.cin(), pn.nv*c.isa.lanes
	dst := c.pool.shared[class.weights+pn.weights+tap*pairs*nr:][:pairs*nr]
	if pn.width < nr {
		clear(dst)
	}
	at := func(row int) int { return c.run(tap*cin*c.fold+row)*c.shape.Co + pn.c0 }
	switch step := c.shape.Co; {
	case c.fold > 1: // channels are rows of the input, whose taps are kW apart
		c.isa.pack(dst, nr, c.w, at(0), step*c.shape.Kernel[2], c.fold, pn.width)
	default:
		c.isa.pack(dst, nr, c.w, at(0), step, cin, pn.width)
	}
}

// pairs transposes to panels of pairs of Co, which stand side by side in w, but
// for the last one of an odd Co.
func (t *turner) pairs(w *worker, u turned) {
	count := t.isa.steps(t.columns)
	dst := t.pool.shared[u.to:][:count*u.nr]
	if u.width < u.nr {
		clear(dst)
	}
	src := t.w.u16[u.from:]
	if t.columns%2 == 1 {
		padded := asHalves(w.scratch)
		for i := range u.width {
			row := padded[2*count*i:][:2*count]
			copy(row, src[i*t.columns:][:t.columns])
			row[t.columns] = 0
		}
		src = padded
	}
	t.isa.turn(dst, u.nr, asPairs(src), count, u.width, count)
}
