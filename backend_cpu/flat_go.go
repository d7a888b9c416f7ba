package cpu

import (
	"math"
	"unsafe"
)

// plainFlat is the kernels of flat in Go.
var plainFlat = flat{
	lanes: 4, block: 4,
	single: sweeps{
		sumsGo, momentsGo, normGo, gradSumsGo, gradGo,
		func(y, a, b unsafe.Pointer, vectors int, slope float32) {
			leakyAdd(floats4(y, vectors), floats4(a, vectors), floats4(b, vectors), slope)
		},
		func(dx, dy, y unsafe.Pointer, vectors int, slope float32) {
			leakyGrad(floats4(dx, vectors), floats4(dy, vectors), floats4(y, vectors), slope)
		},
	},
	axpy:    func(y, x *float32, vectors int, m float32) { axpy(slice4(y, vectors), slice4(x, vectors), m) },
	blend:   blendGo,
	squares: squaresGo,
	sgd:     func(u *update, vectors int) { sgd(u, 4*vectors) },
	adam:    func(u *update, vectors int) { adam(u, 4*vectors) },
	adan:    func(u *update, vectors int) { adan(u, 4*vectors) },
	expSub:  expSubGo, log: logGo,
	lossKernels: lossKernels{
		classes: classesGo, softmax: softmaxGo, hard: hardGo, classSums: classSumsGo, softSums: softSumsGo,
		pick: pickGo, classGrad: classGradGo, firstLargest: firstLargestGo, lastAbove: lastAboveGo, mix: mixGo, stretch: stretchGo,
		choose: chooseGo, sigmoid: sigmoidGo, regionSums: regionSumsGo, binary: binaryGo, sigmoidGrad: sigmoidGradGo,
	},
}

func floats4(p unsafe.Pointer, vectors int) []float32 { return slice4((*float32)(p), vectors) }

// slice4 is not inlined, nor are those below: unsafe.Slice checks take much of the code of
// a program for browsers.
//
//go:noinline
func slice4(p *float32, vectors int) []float32 { return unsafe.Slice(p, 4*vectors) }

// row is row r of x in s, and column the values of the columns.
//
//go:noinline
func (s *sweep) row(x unsafe.Pointer, r int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Add(x, 4*r*s.columns)), s.columns)
}

//go:noinline
func (s *sweep) all(x unsafe.Pointer) []float32 {
	return unsafe.Slice((*float32)(x), s.rows*s.columns)
}

//go:noinline
func (s *sweep) column(x *float32) []float32 { return unsafe.Slice(x, s.columns) }

// together is how many rows are summed up before their sums are added to those before.
const together = 32

// groups calls f for column i and rows from … to of a group.
func (s *sweep) groups(f func(i, from, to int)) {
	for from := 0; from < s.rows; from += together {
		for i := range s.columns {
			f(i, from, min(from+together, s.rows))
		}
	}
}

func sumsGo(s *sweep) {
	x, sum := s.all(s.x), s.column(s.sum)
	s.groups(func(i, from, to int) {
		a := float32(0)
		for at := from*s.columns + i; at < to*s.columns; at += s.columns {
			a += x[at]
		}
		sum[i] += a
	})
}

func momentsGo(s *sweep) {
	x, mean, sum, sum2 := s.all(s.x), s.column(s.mean), s.column(s.sum), s.column(s.sum2)
	s.groups(func(i, from, to int) {
		a, b, m := float32(0), float32(0), mean[i]
		for at := from*s.columns + i; at < to*s.columns; at += s.columns {
			d := x[at] - m
			a += d
			b += d * d
		}
		sum[i] += a
		sum2[i] += b
	})
}

func normGo(s *sweep) {
	mean, scale, shift := s.column(s.mean), s.column(s.scale), s.column(s.shift)
	scale, shift = scale[:len(mean)], shift[:len(mean)]
	for r := range s.rows {
		x, y := s.row(s.x, r)[:len(mean)], s.row(s.y, r)[:len(mean)]
		for i, m := range mean {
			a := (x[i]-m)*scale[i] + shift[i]
			if a < 0 {
				a *= s.slope
			}
			y[i] = a
		}
	}
}

func gradSumsGo(s *sweep) {
	x, dy := s.all(s.x), s.all(s.dy)
	mean, scale, shift := s.column(s.mean), s.column(s.scale), s.column(s.shift)
	sum, sum2 := s.column(s.sum), s.column(s.sum2)
	s.groups(func(i, from, to int) {
		a, b, m := float32(0), float32(0), mean[i]
		for at := from*s.columns + i; at < to*s.columns; at += s.columns {
			d, g := x[at]-m, dy[at]
			if d*scale[i]+shift[i] < 0 {
				g *= s.slope
			}
			a += g
			b += g * d
		}
		sum[i] += a
		sum2[i] += b
	})
}

func gradGo(s *sweep) {
	mean, scale, shift := s.column(s.mean), s.column(s.scale), s.column(s.shift)
	k0, k1 := s.column(s.k0), s.column(s.k1)
	scale, shift, k0, k1 = scale[:len(mean)], shift[:len(mean)], k0[:len(mean)], k1[:len(mean)]
	for r := range s.rows {
		x, dy, dx := s.row(s.x, r)[:len(mean)], s.row(s.dy, r)[:len(mean)], s.row(s.y, r)[:len(mean)]
		for i, m := range mean {
			d, g := x[i]-m, dy[i]
			if d*scale[i]+shift[i] < 0 {
				g *= s.slope
			}
			dx[i] = scale[i]*g - (k0[i] + k1[i]*d)
		}
	}
}

func leakyAdd(y, a, b []float32, slope float32) {
	for i := range y {
		v := a[i] + b[i]
		if v < 0 {
			v *= slope
		}
		y[i] = v
	}
}

func leakyGrad(dx, dy, y []float32, slope float32) {
	for i := range dx {
		d := dy[i]
		if y[i] < 0 {
			d *= slope
		}
		dx[i] = d
	}
}

func axpy(y, x []float32, m float32) {
	for i := range y {
		y[i] += m * x[i]
	}
}

func blendGo(y, x, w *float32, index *int32, k, groups int) {
	of := unsafe.Slice(index, 4*k)
	for g := range groups {
		wg := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(w), 16*g)), 4)
		yg := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(y), 16*g*k)), 4*k)
		xg := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(x), 16*g*k)), 4*k)
		for i, v := range of {
			yg[i] += wg[v] * xg[i]
		}
	}
}

func squaresGo(sum *float64, x *float32, vectors int) {
	s := (*[4]float64)(unsafe.Pointer(sum))
	for i, v := range slice4(x, vectors) {
		s[i&3] += float64(v) * float64(v)
	}
}

// sgd updates n weights.
func sgd(u *update, n int) {
	w, g, m := unsafe.Slice(u.w, n), unsafe.Slice(u.g, n), unsafe.Slice(u.m, n)
	for i := range w {
		d := u.factor*g[i] + u.decay*w[i]
		m[i] = u.beta1*m[i] + d
		w[i] -= u.rate * (u.own*d + u.of*m[i])
	}
}

// adam updates n weights.
func adam(u *update, n int) {
	w, g, m, v := unsafe.Slice(u.w, n), unsafe.Slice(u.g, n), unsafe.Slice(u.m, n), unsafe.Slice(u.v, n)
	for i := range w {
		x := w[i] - u.shrink*w[i]
		d := u.factor*g[i] + u.decay*w[i]
		m[i] = u.beta1*m[i] + u.rest1*d
		v[i] = u.beta2*v[i] + u.rest2*d*d
		w[i] = x - u.rate*m[i]/(float32(math.Sqrt(float64(v[i])))*u.root+u.epsilon)
	}
}

// adan updates n weights.
func adan(u *update, n int) {
	w, g, p := unsafe.Slice(u.w, n), unsafe.Slice(u.g, n), unsafe.Slice(u.p, n)
	m, v, s := unsafe.Slice(u.m, n), unsafe.Slice(u.v, n), unsafe.Slice(u.n, n)
	for i := range w {
		d := u.factor * g[i]
		e := d - p[i]
		q := d + u.beta2*e
		m[i] += u.rest1 * (d - m[i])
		v[i] += u.rest2 * (e - v[i])
		s[i] += u.rest3 * (q*q - s[i])
		by := (u.rate*m[i] + u.of*v[i]) / (float32(math.Sqrt(float64(s[i])))*u.root + u.epsilon)
		w[i], p[i] = (w[i]-by)*u.shrink, d
	}
}

// firstAdan is adan where no gradient came before.
func firstAdan(u *update, n int) {
	w, g, p := unsafe.Slice(u.w, n), unsafe.Slice(u.g, n), unsafe.Slice(u.p, n)
	for i := range w {
		w[i], p[i] = w[i]*u.shrink, u.factor*g[i]
	}
}
