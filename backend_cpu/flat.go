package cpu

import (
	"unsafe"

	"github.com/gounet/gounet/core/graph"
)

// flat is the kernels of one instruction set for ops that touch an element a few
// times: they should be as fast as memory. vectors are at least 1.
type flat struct {
	lanes int // f32 in a vector
	block int // the columns of a sweep are a multiple of it

	// The kernels of short rows, which often begin within a cache line, so that the
	// longest vectors would need two for each access; nil: these.
	short *flat

	single sweeps  // of rows in f32
	halves *sweeps // of rows in bf16; nil: they become f32

	axpy  func(y, x *float32, vectors int, m float32)         // y += m·x
	blend func(y, x, w *float32, index *int32, k, groups int) // see blendRow
	heads [5][2]*headKernels                                  // by the outputs of a pointwise convolution: for f32 and bf16
	// Of convolutions: three rows, step bytes apart, side by side, in f32, or, in bf16, as
	// pairs of channels, or of voxels that are next bytes apart; nil: there are none.
	foldSingles, foldChannels, foldVoxels foldKernel

	squares         func(sum *float64, x *float32, vectors int) // sum[j] += Σ x[i·4+j]², j < 4
	sgd, adam, adan func(u *update, vectors int)

	// Of the loss and of gamma: see lossRows.
	expSub func(e, x, m *float32, vectors int) // e = exp(x − m) for x ≤ m: within 1 ulp, 0 below 2^-126
	log    func(y, x *float32, vectors int)    // y = log x: within 3 ulp, −∞ at 0; not for subnormal x
	lossKernels
}

// foldKernel makes rows of vectors vectors and one that begins last voxels after the
// first; those of dst are dstStep bytes apart, those that are read rowStep.
type foldKernel func(dst *float32, src unsafe.Pointer, step, next, vectors, last, rows, dstStep, rowStep int)

// sweeps is the kernels of f32 or of bf16: over a sweep, and over vectors.
type sweeps struct {
	sums, moments, norm, gradSums, grad func(*sweep)

	leakyAdd  func(y, a, b unsafe.Pointer, vectors int, slope float32)   // y = leaky(a + b)
	leakyGrad func(dx, dy, y unsafe.Pointer, vectors int, slope float32) // dx = y ≥ 0 ? dy : slope·dy
}

// headKernels are those of a pointwise convolution from ci to co channels. ci is a
// multiple of a strip, two vectors of channels: of f32 the first and the second, of bf16,
// which lie in the halves of 32 bits, those with an even and those with an odd number.
type headKernels struct {
	step int // voxels that dot makes at a time

	dot    func(y *float32, x unsafe.Pointer, w, b *float32, ci, steps int)    // y[v][j] = b[v][j] + Σ x[v][k]·w[j][k]; b [step co]
	grad   func(sum *float32, x unsafe.Pointer, dy *float32, step, voxels int) // of a strip: [co] of Σ dy[v][j]·x[v], of both vectors, and Σ dy[v][j] in each lane; step bytes
	spread func(dx unsafe.Pointer, dy, w *float32, strips, voxels int)         // dx[v] = Σ dy[v][j]·w[strip][j]; nil: there is none
}

// sweep is the argument of kernels that go through rows of columns, of which
// each belongs to one channel: d = x − mean, and
//
//	sums      sum += Σ x over the rows
//	moments   sum += Σ d   sum2 += Σ d²
//	norm      y = leaky(d·scale + shift)
//	gradSums  sum += Σ g   sum2 += Σ g·d      g = dy where d·scale + shift ≥ 0, else slope·dy
//	grad      y = scale·g − (k0 + k1·d)
//
// gen knows the offsets of the fields.
type sweep struct {
	x, dy, y           unsafe.Pointer // [rows columns]
	rows, columns      int
	mean, scale, shift *float32 // [columns]
	k0, k1             *float32
	sum, sum2          *float32
	slope              float32
}

// update is the argument of the optimizer kernels: w, g and states m, v, n, p.
//
//	sgd   d = factor·g + decay·w   m = beta1·m + d   w −= rate·(own·d + of·m)
//	adam  w −= shrink·w   d = factor·g + decay·w   m = beta1·m + rest1·d   v = beta2·v + rest2·d²
//	      w −= rate·m / (√v·root + epsilon)
//	adan  d = factor·g   e = d − p   m += rest1·(d − m)   v += rest2·(e − v)   n += rest3·((d + beta2·e)² − n)
//	      w = (w − (rate·m + of·v) / (√n·root + epsilon))·shrink   p = d
//
// gen knows the offsets of the fields.
type update struct {
	w, g, m, v, n, p      *float32
	factor, decay, rate   float32
	beta1, own, of        float32
	rest1, beta2, rest2   float32
	shrink, root, epsilon float32
	rest3                 float32
}

// read returns elements off … off+n of t: in place where they are f32, else in buf.
//
//go:noinline
func (s *isa) read(t tensor, off, n int, buf []float32) []float32 {
	if t.dtype == graph.F32 {
		return t.f32[off:][:n]
	}
	s.fetch(buf[:n], n, t, off, n, 1, n)
	return buf[:n]
}

// target is where elements off … off+n of t are to be computed: flush brings
// them to t if that is buf.
//
//go:noinline
func (s *isa) target(t tensor, off, n int, buf []float32) []float32 {
	if t.dtype == graph.F32 {
		return t.f32[off:][:n]
	}
	return buf[:n]
}

func (s *isa) flush(t tensor, off int, buf []float32) {
	if t.dtype != graph.F32 {
		s.put(t, off, len(buf), buf, len(buf), 1, len(buf))
	}
}

// ofRows is the kernels of short rows.
func (f *flat) ofRows() *flat {
	if f.short != nil {
		return f.short
	}
	return f
}

// addScaled makes y += m·x.
func (f *flat) addScaled(y, x []float32, m float32) {
	f = f.ofRows()
	n := len(y) / f.lanes * f.lanes
	if n > 0 {
		f.axpy(&y[0], &x[0], n/f.lanes, m)
	}
	axpy(y[n:], x[n:len(y)], m)
}

// blendRow makes y[i k] += w[i]·x[i k] for voxels i and k classes. index is that of
// blendIndex.
func (f *flat) blendRow(y, x, w []float32, index []int32, k int) {
	f = f.ofRows()
	n := len(w) / f.lanes * f.lanes
	if n > 0 {
		f.blend(&y[0], &x[0], &w[0], &index[0], k, n/f.lanes)
	}
	for i := n; i < len(w); i++ {
		axpy(y[i*k:][:k], x[i*k:][:k], w[i])
	}
}

// blendIndex is [k lanes]: the voxel, of as many as lanes, that each element of k vectors
// belongs to.
func (f *flat) blendIndex(k int) []int32 {
	index := make([]int32, k*f.ofRows().lanes)
	for i := range index {
		index[i] = int32(i / k)
	}
	return index
}

// sumSquares adds Σ x² to sum, in four parts.
func (f *flat) sumSquares(sum *[4]float64, x []float32) {
	n := len(x) / f.lanes * f.lanes
	if n > 0 {
		f.squares(&sum[0], &x[0], n/f.lanes)
	}
	for i, v := range x[n:] {
		sum[i&3] += float64(v) * float64(v)
	}
}
