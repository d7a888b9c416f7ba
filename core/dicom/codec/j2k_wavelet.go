package codec

// lift makes resolution res of the next lower one and its three bands, which lie in
// the corner of a plane of rows of stride values: rows first, then columns (T.800
// annex F).
func lift[T int32 | float32](plane []T, stride int, lower, res rect, one func(line []T, odd bool)) {
	w, h := res.w(), res.h()
	line := make([]T, max(w, h))
	for y := range h {
		row := plane[y*stride : y*stride+w]
		interleave(line[:w], row[:lower.w()], row[lower.w():], res.x0&1)
		one(line[:w], res.x0&1 == 1)
		copy(row, line)
	}
	// Columns are gathered eight at a time, which is a line of cache.
	const batch = 8
	columns := make([]T, batch*h)
	for x := 0; x < w; x += batch {
		n := min(batch, w-x)
		for y := range h {
			to := 2*y + res.y0&1
			if y >= lower.h() {
				to = 2*(y-lower.h()) + 1 - res.y0&1
			}
			for i, v := range plane[y*stride+x : y*stride+x+n] {
				columns[i*h+to] = v
			}
		}
		for i := range n {
			one(columns[i*h:(i+1)*h], res.y0&1 == 1)
		}
		for y := range h {
			row := plane[y*stride+x : y*stride+x+n]
			for i := range row {
				row[i] = columns[i*h+y]
			}
		}
	}
}

// interleave puts low values at the even places of the plane and high ones at the
// odd ones; first is the parity of the line's first place.
func interleave[T int32 | float32](dst, low, high []T, first int) {
	for i, v := range low {
		dst[2*i+first] = v
	}
	for i, v := range high {
		dst[2*i+1-first] = v
	}
}

// lift53 is the reversible wavelet.
func lift53(line []int32, odd bool) {
	even := 0
	if odd {
		even = 1
	}
	if len(line) == 1 {
		if odd {
			line[0] /= 2
		}
		return
	}
	n := len(line)
	for i := even; i < n; i += 2 {
		l, r := i-1, i+1
		if l < 0 {
			l = r
		}
		if r >= n {
			r = l
		}
		line[i] -= (line[l] + line[r] + 2) >> 2
	}
	for i := 1 - even; i < n; i += 2 {
		l, r := i-1, i+1
		if l < 0 {
			l = r
		}
		if r >= n {
			r = l
		}
		line[i] += (line[l] + line[r]) >> 1
	}
}

// Constants of the irreversible wavelet (T.800 table F.4). High values are scaled by
// 2/K, since bands come without their gain.
const (
	alpha97 = -1.586134342
	beta97  = -0.052980118
	gamma97 = 0.882911075
	delta97 = 0.443506852
	k97     = 1.230174105
	high97  = 1.625732422
)

// lift97 is the irreversible wavelet.
func lift97(line []float32, odd bool) {
	even := 0
	if odd {
		even = 1
	}
	if len(line) == 1 {
		return
	}
	for i := range line {
		if i&1 == even {
			line[i] *= k97
		} else {
			line[i] *= high97
		}
	}
	step97(line, even, delta97)
	step97(line, 1-even, gamma97)
	step97(line, even, beta97)
	step97(line, 1-even, alpha97)
}

func step97(line []float32, first int, c float32) {
	n := len(line)
	for i := first; i < n; i += 2 {
		l, r := i-1, i+1
		if l < 0 {
			l = r
		}
		if r >= n {
			r = l
		}
		line[i] -= float32((line[l] + line[r]) * c)
	}
}
