package volume

import "math"

// Order is the degree of the B-spline between voxels: nnU-Net's order.
type Order int

// The orders that can be resampled with.
const (
	Nearest Order = 0
	Linear  Order = 1
	Cubic   Order = 3

	catmullRom Order = -3 // cubic through the voxels themselves, without a filter before
)

// edge is how many coefficients a line has beyond each end: a cubic B-spline at
// half a voxel outside reaches two voxels out.
const edge = 2

// kernel resamples lines of n voxels to m, with the centres at half voxels
//
//	x(i) = (i+½)·n/m − ½
//
// and the line continued by its first and last value: scipy.ndimage.zoom with
// grid_mode and mode "nearest", hence scikit-image's resize with mode "edge".
type kernel struct {
	order Order
	n, m  int
	first []int        // of output i: place of its first tap, in voxels; −2 at least
	w     [][4]float64 // weights of the taps from first on
}

// newKernel returns the kernel from n to m voxels.
func newKernel(n, m int, order Order) *kernel {
	k := &kernel{order: order, n: n, m: m, first: make([]int, m), w: make([][4]float64, m)}
	scale := float64(n) / float64(m)
	for i := range m {
		// The conversion keeps the product from being fused with the subtraction,
		// which would move samples that fall exactly between two voxels.
		x := float64((float64(i)+0.5)*scale) - 0.5
		if order == Nearest || order == Linear {
			x = min(max(x, 0), float64(n-1))
		}
		switch order {
		case Nearest:
			k.first[i], k.w[i] = int(math.Floor(x+0.5)), [4]float64{1}
		case Linear:
			floor := math.Floor(x)
			w0 := 1 - (x - floor)
			k.first[i], k.w[i] = int(floor), [4]float64{w0, 1 - w0}
		default:
			floor := math.Floor(x)
			weights := cubicWeights
			if order == catmullRom {
				weights = catmullRomWeights
			}
			k.first[i], k.w[i] = int(floor)-1, weights(x-floor)
		}
	}
	return k
}

// cubicWeights are those of the coefficients at −1, 0, 1, 2 for a place t in [0, 1).
func cubicWeights(t float64) [4]float64 {
	u := 1 - t
	w0, w1, w2 := u*u*u/6, (3*t*t*(t-2)+4)/6, (3*u*u*(u-2)+4)/6
	return [4]float64{w0, w1, w2, 1 - w0 - w1 - w2}
}

// catmullRomWeights are those of the voxels at −1, 0, 1, 2 for a place t in [0, 1).
func catmullRomWeights(t float64) [4]float64 {
	w0, w2, w3 := ((2-t)*t-1)*t/2, ((4-3*t)*t+1)*t/2, (t-1)*t*t/2
	return [4]float64{w0, 1 - w0 - w2 - w3, w2, w3}
}

// identity reports whether the kernel copies.
func (k *kernel) identity() bool { return k.n == k.m }

// The filter from samples to the coefficients of a cubic B-spline (Unser,
// Splines: A Perfect Fit for Signal and Image Processing, 1999).
const (
	pole = -0.267949192431122706472553658494127633057194746 // √3 − 2
	gain = 6                                                // makes a constant its own coefficient
)

// lineBuffer holds lines side by side: element [i+edge][l] is voxel i of line l.
type lineBuffer [][lanes]float64

func newLineBuffer(n int) lineBuffer { return make(lineBuffer, n+2*edge) }

// load takes n elements of count lines out of src.
func (b lineBuffer) load(src []float32, a axisLines, first, count int) {
	if at := a.start(first); a.start(first+count-1) == at+count-1 { // neighbours in memory
		for i := range a.n {
			to := &b[i+edge]
			for l, v := range src[at+i*a.inner:][:count] {
				to[l] = float64(v)
			}
		}
		return
	}
	for l := range count {
		at := a.start(first + l)
		for i := range a.n {
			b[i+edge][l] = float64(src[at+i*a.inner])
		}
	}
}

// extend continues the lines of n voxels by their first and last values.
func (b lineBuffer) extend(n int) {
	for i := range edge {
		b[i] = b[edge]
		b[edge+n+i] = b[edge+n-1]
	}
}

// prefilter turns the samples of n voxels into the coefficients of the cubic
// B-spline through them, for lines that go on constant on both sides for ever:
//
//	p[i] = gain·x[i] + pole·p[i−1]      c[i] = pole·(c[i+1] − p[i])
//
// Both sums over the constant parts are geometric, so that the ends are exact.
func (b lineBuffer) prefilter(n int) {
	b.extend(n)
	last := n + 2*edge - 1
	var level [lanes]float64 // p far to the right
	for l := range lanes {
		b[0][l] *= gain / (1 - pole)
		level[l] = b[last][l] * gain / (1 - pole)
	}
	for i := 1; i <= last; i++ {
		prev, p := &b[i-1], &b[i]
		for l := range lanes {
			p[l] = gain*p[l] + pole*prev[l]
		}
	}
	for l := range lanes {
		b[last][l] = -pole * (level[l]/(1-pole) + (b[last][l]-level[l])/(1-pole*pole))
	}
	for i := last - 1; i >= 0; i-- {
		next, c := &b[i+1], &b[i]
		for l := range lanes {
			c[l] = pole * (next[l] - c[l])
		}
	}
}

// run fills out, m voxels of each line, from the n voxels in b, which it changes.
func (k *kernel) run(out, b lineBuffer) {
	switch k.order {
	case Nearest:
		for i, first := range k.first {
			out[i] = b[first+edge]
		}
	case Linear:
		b.extend(k.n)
		for i, first := range k.first {
			w0, w1 := k.w[i][0], k.w[i][1]
			c0, c1, y := &b[first+edge], &b[first+edge+1], &out[i]
			for l := range lanes {
				y[l] = w0*c0[l] + w1*c1[l]
			}
		}
	default:
		if k.order == Cubic {
			b.prefilter(k.n)
		} else {
			b.extend(k.n)
		}
		for i, first := range k.first {
			w := k.w[i]
			c0, c1, c2, c3 := &b[first+edge], &b[first+edge+1], &b[first+edge+2], &b[first+edge+3]
			y := &out[i]
			for l := range lanes {
				y[l] = w[0]*c0[l] + w[1]*c1[l] + w[2]*c2[l] + w[3]*c3[l]
			}
		}
	}
}

// store puts n elements of count lines into dst, rounded to float32.
func store(dst []float32, b lineBuffer, a axisLines, first, count int) {
	if at := a.start(first); a.start(first+count-1) == at+count-1 {
		for i := range a.n {
			from := &b[i]
			to := dst[at+i*a.inner:][:count]
			for l := range to {
				to[l] = float32(from[l])
			}
		}
		return
	}
	for l := range count {
		at := a.start(first + l)
		for i := range a.n {
			dst[at+i*a.inner] = float32(b[i][l])
		}
	}
}

// lineScratch is what one goroutine needs to resample blocks of lines.
type lineScratch struct{ in, out lineBuffer }

// along resamples src, of shape [D H W c], along an axis into dst.
func (k *kernel) along(dst, src []float32, shape [3]int, axis, c int) {
	from := linesAlong(shape, axis, c)
	to := axisLines{outer: from.outer, n: k.m, inner: from.inner}
	scratch := func() lineScratch { return lineScratch{newLineBuffer(k.n), make(lineBuffer, k.m)} }
	parallel(from.blocks(), scratch, func(i int, s lineScratch) {
		first, count := from.block(i)
		s.in.load(src, from, first, count)
		k.run(s.out, s.in)
		store(dst, s.out, to, first, count)
	})
}
