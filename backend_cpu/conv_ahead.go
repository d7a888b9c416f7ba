package cpu

import "unsafe"

// ahead walks through the memory that a worker's next block will read, while
// the tiles of this block are made: the kernels ask for it line by line, and
// copying rows does not wait for memory.
type ahead struct {
	ranges [maxRanges]byteRange
	n, i   int
}

const maxRanges = 40

type byteRange struct{ from, to uintptr }

// reset forgets all ranges.
func (a *ahead) reset() { a.n, a.i = 0, 0 }

// add appends elements from … to of t. What is too much is left out.
func (a *ahead) add(t tensor, from, to int) {
	if from >= to || a.n == maxRanges {
		return
	}
	p, size := t.at(from)
	a.ranges[a.n] = byteRange{uintptr(p), uintptr(p) + uintptr((to-from)*size)}
	a.n++
}

// addRows appends the input rows that planes d0 … d0+d of the window need and
// that it does not hold.
func (a *ahead) addRows(win *window, n, h0, h, d0, d int) {
	s := win.src
	end := min(h0+(h-1)*s.rowStep+s.fold, s.size[1])
	h0 = max(h0, 0)
	for p := max(d0, 0); p < min(d0+d, s.size[0]); p++ {
		if n == win.n && h0 == max(win.h0, 0) && win.holds[win.slot(p)] == p {
			continue
		}
		for t, c := range s.c {
			if c > 0 {
				a.add(s.in[t], s.voxel(n, p, h0, 0)*c, s.voxel(n, p, end, 0)*c)
			}
		}
	}
}

// begin points the tile at the first range.
func (w *worker) begin() {
	w.idle()
	if w.ahead.n > 0 {
		w.tile.ahead, w.tile.aheadStep = w.ahead.ranges[0].from, 256
	}
}

// idle points the tile at memory that costs nothing to ask for.
func (w *worker) idle() { w.tile.ahead, w.tile.aheadStep = uintptr(unsafe.Pointer(w)), 0 }

// lookAhead moves the tile on where a range has ended.
func (w *worker) lookAhead() {
	a, t := &w.ahead, &w.tile
	for t.aheadStep > 0 && t.ahead >= a.ranges[a.i].to {
		if a.i++; a.i == a.n {
			w.idle()
			return
		}
		t.ahead = a.ranges[a.i].from
	}
}
