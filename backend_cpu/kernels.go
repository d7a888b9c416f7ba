package cpu

import (
	"unsafe"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

//go:generate go run -C gen . -out ../kernels_amd64.s -table ../kernels_gen.go

// segment is a run of a tile's sum: where its a and b begin.
type segment struct{ a, b unsafe.Pointer }

// tile is the argument of the kernels that multiply. They make tiles of c one
// below the other, mr rows each:
//
//	gather  c[i][j] += a[i*aStep + k] * b[k][j]          i voxels, k = kW and Ci of one (kd, kh), j channels
//	outer   c[i][j] += a[k*aStep + i] * b[k*bStep + j]   i = kW and Ci of one (kd, kh), k voxels, j channels
//
// and, for three taps t along W and tiles one vector wide:
//
//	gather3  c[i][j] += a[(i+t)*aStep + k] * b[t*bStep + k][j]         i voxels, k = Ci
//	outer3   c[t*cRun + i][j] += a[(k+t)*aStep + i] * b[k*bStep + j]   i = Ci, k at least 2 voxels
//
// sum does without a:
//
//	sum  c[j] += b[k*bStep + j]
//
// and outerSum does the work of outer, a tile two vectors wide, and of sum, at c + cRun.
//
// Each sums over its segments. Steps and offsets are bytes. A kernel leaves
// cOff and aOff behind the rows that it made and tiles at 0. A gather goes on with more
// rows of tiles, each as many, after adding aNext and cNext, and leaves more at 0. With
// each segment
// it asks for 256 bytes at ahead and moves ahead by aheadStep; a gather that starts
// from init asks for its rows of c at cAhead too. gen knows the
// offsets of the fields.
type tile struct {
	seg          *segment
	n            int // segments
	k            int // steps of a segment
	tiles        int // at least 1
	aOff         int // added to every a
	aStep, bStep int
	c            *float32
	cOff         int // added to c
	cStep, cRun  int
	cAhead       int      // of a gather: added to c, what will be written soon
	init         *float32 // the row that every c starts from; nil: from c itself
	ahead        uintptr  // an address only: nothing is read
	aheadStep    int
	more, each   int
	aNext, cNext int // added to aOff and cOff
}

// Bounds over all instruction sets.
const (
	maxRows  = 14 // of a tile
	maxLanes = 16 // of a vector; a tile has at most two
)

// isa is the kernels of one instruction set. gather and outer are indexed by
// the vectors and the rows of a tile, gather3 and outer3 by rows.
type isa struct {
	name    string
	lanes   int    // f32 in a vector
	vectors int    // most vectors of a tile's row
	pairs   *isa   // the kernels for operands in bf16; nil: they become f32
	paired  bool   // these are such kernels
	rows    [3]int // most rows of a tile by its vectors

	gather, outer   [3][maxRows + 1]func(*tile)
	sum             [3]func(*tile)           // by vectors
	gather3, outer3 [maxRows + 1]func(*tile) // gather3 has as many rows as gather
	outerSum        [maxRows + 1]func(*tile) // by rows; nil: there is none
	outer3Rows      int                      // 0 if there are no kernels for three taps

	add                                        func(dst, src *float32, vectors int)          // dst += src
	transpose                                  func(dst, src *float32, dstStep, srcStep int) // lanes x lanes f32, steps in bytes
	peak                                       func(n int)                                   // n*12 multiply-adds of vectors
	triad                                      func(dst, a, b *float32, vectors int)         // dst = a + 3b
	move                                       convert                                       // f32 to f32
	widenBF16, widenF16, narrowBF16, narrowF16 convert
	weave                                      func(dst, lo, hi unsafe.Pointer, rows, vectors, dstStep, loStep, hiStep int) // of paired kernels
}

// convert moves rows of vectors from src to dst; the steps between rows are
// bytes, rows and vectors at least 1.
type convert func(dst, src unsafe.Pointer, rows, vectors, dstStep, srcStep int)

// tensor is memory with a storage type: f32 holds F32, u16 holds F16 and BF16.
type tensor struct {
	dtype graph.DType
	f32   []float32
	u16   []uint16
}

// f32s is a tensor over f32.
func f32s(v []float32) tensor { return tensor{dtype: graph.F32, f32: v} }

// at is the address of element i and the size of an element.
func (t tensor) at(i int) (unsafe.Pointer, int) {
	if t.dtype == graph.F32 {
		return unsafe.Pointer(&t.f32[i]), 4
	}
	return unsafe.Pointer(&t.u16[i]), 2
}

// none says that there is no tensor.
func (t tensor) none() bool { return t.f32 == nil && t.u16 == nil }

// start is the address of element i, nil without a tensor.
//
//go:noinline
func (t tensor) start(i int) unsafe.Pointer {
	if t.none() {
		return nil
	}
	at, _ := t.at(i)
	return at
}

// widen is the kernel that reads storage type d, narrow the one that writes it.
func (s *isa) widen(d graph.DType) convert {
	switch d {
	case graph.BF16:
		return s.widenBF16
	case graph.F16:
		return s.widenF16
	}
	return s.move
}

func (s *isa) narrow(d graph.DType) convert {
	switch d {
	case graph.BF16:
		return s.narrowBF16
	case graph.F16:
		return s.narrowF16
	}
	return s.move
}

// fetch reads rows of t as f32: dst[r*dstStep+i] = t[off+r*step+i] for i < width.
func (s *isa) fetch(dst []float32, dstStep int, t tensor, off, step, rows, width int) {
	if rows == 0 || width == 0 {
		return
	}
	if dstStep == width && step == width {
		rows, width = 1, rows*width
	}
	vectors := width / s.lanes
	if vectors > 0 {
		from, size := t.at(off)
		_ = dst[(rows-1)*dstStep+width-1]
		s.widen(t.dtype)(unsafe.Pointer(&dst[0]), from, rows, vectors, dstStep*4, step*size)
	}
	for i := vectors * s.lanes; i < width; i++ {
		t.column(dst[i:], dstStep, off+i, step, rows)
	}
}

// column reads dst[r*dstStep] = t[off+r*step] for r < rows.
func (t tensor) column(dst []float32, dstStep, off, step, rows int) {
	switch t.dtype {
	case graph.BF16:
		src := t.u16[off:]
		for r := range rows {
			dst[r*dstStep] = half.FromBF16(src[r*step])
		}
	case graph.F16:
		src := t.u16[off:]
		for r := range rows {
			dst[r*dstStep] = half.FromF16(src[r*step])
		}
	default:
		if src := t.f32[off:]; step == 1 {
			for r, x := range src[:rows] {
				dst[r*dstStep] = x
			}
		} else {
			for r := range rows {
				dst[r*dstStep] = src[r*step]
			}
		}
	}
}

// spare is how many of the last rows of contiguous t [rows][width] a vector at
// their begin would reach beyond.
func (s *isa) spare(rows, width int) int { return min(rows, ceil(s.lanes-width, width)) }

// fetchLoose is a fetch that may leave anything in dst between width and the
// next row, dstStep a multiple of the lanes.
func (s *isa) fetchLoose(dst []float32, dstStep int, t tensor, off, step, rows, width int) {
	if width < s.lanes && step == width {
		// A vector reaches into the next rows, which are there but for the last.
		if most := rows - s.spare(rows, width); most > 0 {
			from, size := t.at(off)
			_ = dst[(most-1)*dstStep+s.lanes-1]
			s.widen(t.dtype)(unsafe.Pointer(&dst[0]), from, most, 1, dstStep*4, step*size)
			dst, off, rows = dst[most*dstStep:], off+most*step, rows-most
		}
	}
	s.fetch(dst, dstStep, t, off, step, rows, width)
}

// put writes rows of f32 to t: t[off+r*step+i] = src[r*srcStep+i] for i < width.
// Vectors of src may reach to the next multiple of the lanes.
func (s *isa) put(t tensor, off, step int, src []float32, srcStep, rows, width int) {
	if rows == 0 || width == 0 {
		return
	}
	if step == width && srcStep == width {
		rows, width = 1, rows*width
	}
	if width < s.lanes && step == width && srcStep >= s.lanes {
		// A vector spoils the next rows, which are written after it.
		if most := rows - s.spare(rows, width); most > 0 {
			to, size := t.at(off)
			_ = src[(most-1)*srcStep+s.lanes-1]
			s.narrow(t.dtype)(to, unsafe.Pointer(&src[0]), most, 1, step*size, srcStep*4)
			src, off, rows = src[most*srcStep:], off+most*step, rows-most
		}
	}
	vectors := width / s.lanes
	if vectors > 0 {
		to, size := t.at(off)
		_ = src[(rows-1)*srcStep+width-1]
		s.narrow(t.dtype)(to, unsafe.Pointer(&src[0]), rows, vectors, step*size, srcStep*4)
	}
	for i := vectors * s.lanes; i < width; i++ {
		switch t.dtype {
		case graph.BF16:
			for r := range rows {
				t.u16[off+r*step+i] = half.ToBF16(src[r*srcStep+i])
			}
		case graph.F16:
			for r := range rows {
				t.u16[off+r*step+i] = half.ToF16(src[r*srcStep+i])
			}
		default:
			for r := range rows {
				t.f32[off+r*step+i] = src[r*srcStep+i]
			}
		}
	}
}

// turn transposes: dst[j*dstStep+i] = src[i*srcStep+j] for i < rows, j < columns.
func (s *isa) turn(dst []float32, dstStep int, src []float32, srcStep, rows, columns int) {
	r, c := rows/s.lanes*s.lanes, columns/s.lanes*s.lanes
	for i := 0; i < r; i += s.lanes {
		for j := 0; j < c; j += s.lanes {
			s.transpose(&dst[j*dstStep+i], &src[i*srcStep+j], dstStep*4, srcStep*4)
		}
	}
	for i := range rows {
		j := c
		if i >= r {
			j = 0
		}
		for ; j < columns; j++ {
			dst[j*dstStep+i] = src[i*srcStep+j]
		}
	}
}
