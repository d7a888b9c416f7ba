package cpu

import (
	"unsafe"

	"github.com/gounet/gounet/core/graph"
)

// size counts along D, H and W.
type size [3]int

func (s size) volume() int { return s[0] * s[1] * s[2] }

// ceil is a/b rounded up. Like others that are called once a unit or a row it is not
// inlined: the program for browsers has a limit.
//
//go:noinline
func ceil(a, b int) int { return (a + b - 1) / b }

// source reads rows of the input into padded copies: f32, or pairs of bf16 in
// their place, the channels of both inputs side by side, zeros left and right of the input. With a fold, rows
// h … h+fold-1 of the input stand side by side too, as if they were channels:
// a kernel over one channel then has longer runs to sum over.
type source struct {
	isa     *isa
	in      [2]tensor
	c       [2]int // channels of the inputs; c[1] is 0 without a second one
	size    size
	fold    int // input rows in a row of the copy
	rowStep int // input rows from one row of the copy to the next
	w0      int // input column of the first voxel of a row
	w       int // voxels of a row

	pairs    pairing
	gridStep int // input columns from one voxel of the grid to the next, where voxels are paired
}

// cin is the number of channels of the copy, or of pairs of them.
func (s *source) cin() int {
	c := (s.c[0] + s.c[1]) * s.fold
	if s.pairs == channelPairs {
		return ceil(c, 2)
	}
	return c
}

// stride is the f32 from one row of the copy to the next: an odd number of
// cache lines, so that voxels at the same place in several rows, which are far
// apart within a row, do not meet in few sets of the first level of the cache.
func (s *source) stride() int { return (s.w*s.cin()+15)&^15 | 16 }

// direct says that rows need no copy.
func (s *source) direct() bool {
	ready := s.in[0].dtype == graph.F32
	switch s.pairs {
	case channelPairs:
		ready = s.c[0]%2 == 0
	case voxelPairs:
		ready = false
	}
	return ready && s.c[1] == 0 && s.fold == 1 && s.w0 >= 0 && s.w0+s.w <= s.size[2]
}

// voxel is the index of an input voxel.
func (s *source) voxel(n, d, h, w int) int { return ((n*s.size[0]+d)*s.size[1]+h)*s.size[2] + w }

// row fills dst with the copy's row that begins at input row (n, d, h).
func (s *source) row(dst []float32, n, d, h int) {
	if s.pairs == voxelPairs {
		s.voxelRow(dst, n, d, h)
		return
	}
	step := s.cin()
	lead, from := max(0, -s.w0), max(0, s.w0)
	count := max(0, min(s.size[2]-from, s.w-lead))
	if count == 0 || h < 0 || h+s.fold > s.size[1] {
		clear(dst[:s.w*step])
	} else {
		clear(dst[:lead*step])
		clear(dst[(lead+count)*step : s.w*step])
	}
	if count == 0 {
		return
	}
	if s.pairs == channelPairs {
		s.channelRow(dst[lead*step:], n, d, h, from, count)
		return
	}
	to := lead * step
	for f := range s.fold {
		for t, c := range s.c {
			if c > 0 && h+f >= 0 && h+f < s.size[1] {
				s.isa.fetch(dst[to:], step, s.in[t], s.voxel(n, d, h+f, from)*c, c, count, c)
			}
			to += c
		}
	}
}

// window is a worker's ring of padded input planes: a block of voxels looks at
// planes of rows, and the next block along D finds the planes that both need
// still there.
type window struct {
	src    *source
	planes int              // in the ring
	h      int              // rows a plane
	rows   []unsafe.Pointer // [planes][h], nil outside the input
	holds  []int            // which plane of the input a slot has
	buf    []float32        // nil if rows are not copied
	n, h0  int
}

// nothing is a plane that no input has.
const nothing = -1 << 30

// open empties the window and points it at the rows of sample n that begin at
// input row h0.
func (win *window) open(src *source, buf []float32, planes, n, h0, h int) {
	win.src, win.planes, win.h, win.n, win.h0 = src, planes, h, n, h0
	for i := range planes {
		win.holds[i] = nothing
	}
	win.buf = buf
	if src.direct() {
		win.buf = nil
	}
}

// load makes planes d0 … d0+d-1 available; d is at most the planes of the ring.
func (win *window) load(d0, d int) {
	s := win.src
	for p := d0; p < d0+d; p++ {
		slot := win.slot(p)
		if win.holds[slot] == p {
			continue
		}
		win.holds[slot] = p
		folded := 0 // rows that foldRows made
		for j := range win.h {
			to := &win.rows[slot*win.h+j]
			h := win.h0 + j*s.rowStep
			switch {
			case p < 0 || p >= s.size[0] || h+s.fold <= 0 || h >= s.size[1]:
				*to = nil
			case win.buf == nil:
				*to, _ = s.in[0].at(s.voxel(win.n, p, h, s.w0) * s.c[0])
			default:
				dst := win.buf[(slot*win.h+j)*s.stride():]
				*to = unsafe.Pointer(&dst[0])
				if s.fold > 1 && j >= folded {
					folded = j + s.foldRows(dst, win.n, p, h, win.h-j)
				}
				if j >= folded {
					s.row(dst[:s.stride()], win.n, p, h)
				}
			}
		}
	}
}

func (win *window) slot(plane int) int { return (plane + 64*win.planes) % win.planes }

// plane is the rows of a plane, nil outside the input.
func (win *window) plane(plane int) []unsafe.Pointer { return win.rows[win.slot(plane)*win.h:][:win.h] }

// inputBytes is how much of a padded input a block of voxels looks at: it stays
// in the second level of the cache.
const inputBytes = 320 << 10

// block chooses how many planes and rows of a grid share a window, of at most
// byteLimit bytes. More than rowLimit rows are not worth while.
func block(grid, step, taps size, rowBytes, byteLimit, rowLimit int) (d, h int) {
	fits := func(d, h int) bool {
		return ((d-1)*step[0]+taps[0])*((h-1)*step[1]+taps[1])*rowBytes <= byteLimit && d*h <= rowLimit
	}
	d, h = 1, 1
	for h < grid[1] && h < 16 && fits(d, h+1) {
		h++
	}
	h = ceil(grid[1], ceil(grid[1], h))
	for d < grid[0] && d < 4 && fits(d+1, h) {
		d++
	}
	return d, h
}

// panel is the output channels of a tile: its weights are [k][nv vectors].
type panel struct {
	out       int // which output
	c0, width int // channels
	nv        int // vectors
	weights   int // where its weights begin among those of its class
	init      int // where the row that its sums start from begins
}

// panels cuts the channels of the outputs into panels with rows rows of weights
// each. It returns the f32 of all weights and of all first rows.
func (s *isa) panels(channels []int, rows int) (list []panel, weights, inits int) {
	for out, c := range channels {
		for c0 := 0; c0 < c; c0 += s.vectors * s.lanes {
			p := panel{out: out, c0: c0, width: min(s.vectors*s.lanes, c-c0), weights: weights, init: inits}
			p.nv = ceil(p.width, s.lanes)
			weights += rows * p.nv * s.lanes
			inits += p.nv * s.lanes
			list = append(list, p)
		}
	}
	return list, weights, inits
}
