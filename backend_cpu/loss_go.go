package cpu

import (
	"math"
	"unsafe"
)

func expSubGo(e, x, m *float32, vectors int) {
	y, a, b := slice4(e, vectors), slice4(x, vectors), slice4(m, vectors)
	for i := range y {
		y[i] = float32(math.Exp(float64(a[i] - b[i])))
	}
}

func logGo(y, x *float32, vectors int) {
	a := slice4(y, vectors)
	for i, v := range slice4(x, vectors) {
		a[i] = float32(math.Log(float64(v)))
	}
}

func classesGo(class *float32, labels *byte, vectors int, last, ignore float32) {
	of := unsafe.Slice(labels, 4*vectors)
	for i := range of {
		c := float32(of[i])
		switch {
		case c == ignore:
			c = -1
		case c > last:
			c = 0
		}
		slice4(class, vectors)[i] = c
	}
}

// rows is the row of class k of z or p.
//
//go:noinline
func (r *lossRows) rows(p *float32, k int) []float32 {
	return slice4((*float32)(unsafe.Add(unsafe.Pointer(p), k*r.step)), r.vectors)
}

// row is z, class or another row.
func (r *lossRows) row(p *float32) []float32 { return slice4(p, r.vectors) }

// sumOf is sum i of class k, which has n.
//
//go:noinline
func (r *lossRows) sumOf(k, i, n int) []float32 {
	return slice4((*float32)(unsafe.Add(unsafe.Pointer(r.sums), 16*(k*n+i))), 1)
}

// cotangents are d[k].
//
//go:noinline
func (r *lossRows) cotangents(k int) []float32 { return unsafe.Slice(r.d, 3*r.k)[3*k:][:3] }

func softmaxGo(r *lossRows) {
	top, total := r.row(r.top), r.row(r.total)
	copy(top, r.rows(r.z, 0))
	for k := range r.k {
		for i, x := range r.rows(r.z, k) {
			top[i] = max(top[i], x)
		}
	}
	clear(total)
	for k := range r.k {
		p := r.rows(r.p, k)
		for i, x := range r.rows(r.z, k) {
			p[i] = float32(math.Exp(float64(x - top[i])))
			total[i] += p[i]
		}
	}
	for k := range r.k {
		p := r.rows(r.p, k)
		for i, t := range total {
			p[i] /= t
		}
	}
}

func hardGo(r *lossRows) {
	for i := range 4 * r.vectors {
		first := 0
		for k := range r.k {
			r.rows(r.p, k)[i] = 0
			if r.rows(r.z, k)[i] > r.rows(r.z, first)[i] {
				first = k
			}
		}
		r.rows(r.p, first)[i] = 1
	}
}

// decide makes labels by the classes that are taken: z above best, which is z again with
// largest.
func (r *lossRows) decide(largest bool) {
	labels := unsafe.Slice(r.labels, 4*r.vectors)
	for i := range labels {
		best, label := float32(0), float32(0)
		if largest {
			best, label = r.rows(r.z, 0)[i], r.cotangents(0)[0]
		}
		for k := range r.k {
			if x := r.rows(r.z, k)[i]; x > best {
				label = r.cotangents(k)[0]
				if largest {
					best = x
				}
			}
		}
		labels[i] = byte(label)
	}
}

func firstLargestGo(r *lossRows) { r.decide(true) }

func lastAboveGo(r *lossRows) { r.decide(false) }

func mixGo(y, a, b *float32, vectors int, f float32) {
	o, p, q := slice4(y, vectors), slice4(a, vectors), slice4(b, vectors)
	for i := range o {
		o[i] = float32((1-f)*p[i]) + float32(f*q[i])
	}
}

func stretchGo(y, x *float32, base, i0, i1 *int32, f *float32, vectors int) {
	o, of, share := slice4(y, vectors), unsafe.Slice(base, vectors), slice4(f, vectors)
	a, b := unsafe.Slice(i0, 4*vectors), unsafe.Slice(i1, 4*vectors)
	for i := range o {
		in := unsafe.Slice(x, int(of[i/4])+8)[of[i/4]:]
		o[i] = float32((1-share[i])*in[a[i]]) + float32(share[i]*in[b[i]])
	}
}

func classSumsGo(r *lossRows) { r.overlap(3) }

// overlap adds to the first three of n sums a class.
func (r *lossRows) overlap(n int) {
	class := r.row(r.class)
	for k := range r.k {
		pt, p, t := r.sumOf(k, 0, n), r.sumOf(k, 1, n), r.sumOf(k, 2, n)
		for i, x := range r.rows(r.p, k) {
			if class[i] == float32(k) {
				pt[i&3] += x
				t[i&3]++
			}
			if class[i] >= 0 {
				p[i&3] += x
			}
		}
	}
}

func softSumsGo(r *lossRows) {
	r.overlap(4)
	class, top, total := r.row(r.class), r.row(r.top), r.row(r.total)
	for k := range r.k {
		sum := r.sumOf(k, 3, 4)
		for i, x := range r.rows(r.z, k) {
			if class[i] == float32(k) {
				sum[i&3] += total[i] + (top[i] - x)
			}
		}
	}
}

func pickGo(r *lossRows) {
	ce := r.row(r.ce)
	for i, c := range r.row(r.class) {
		ce[i] = 0
		if c >= 0 {
			ce[i] = r.cotangents(int(c))[2]
		}
	}
}

func classGradGo(r *lossRows) {
	ce := r.row(r.ce)
	for i, c := range r.row(r.class) {
		mean := float32(0)
		for k := range r.k {
			d, p := r.cotangents(k), r.rows(r.p, k)[i]
			mean += d[0] * p
			if c == float32(k) {
				mean += d[1] * p
			}
		}
		for k := range r.k {
			d, p, z := r.cotangents(k), r.rows(r.p, k)[i], r.rows(r.z, k)
			a, t := d[0], float32(0)
			if c == float32(k) {
				a, t = a+d[1], 1
			}
			z[i] = p*(a-mean) + ce[i]*(p-t)
			if c < 0 {
				z[i] = 0
			}
		}
	}
}

func chooseGo(t, a *float32, vectors int, k float32) {
	y := slice4(t, vectors)
	for i, v := range slice4(a, vectors) {
		y[i] = 0
		if v == k {
			y[i] = 1
		}
	}
}

func sigmoidGo(p, total, z *float32, vectors int) {
	y, sum := slice4(p, vectors), slice4(total, vectors)
	for i, x := range slice4(z, vectors) {
		e := float32(math.Exp(-math.Abs(float64(x))))
		sum[i] = 1 + e
		if x >= 0 {
			e = 1
		}
		y[i] = e / sum[i]
	}
}

func regionSumsGo(sum, p, t, class *float32, vectors int) {
	s, x, y := slice4(sum, 3), slice4(p, vectors), slice4(t, vectors)
	for i, c := range slice4(class, vectors) {
		if c >= 0 {
			s[i&3] += x[i] * y[i]
			s[4+i&3] += x[i]
			s[8+i&3] += y[i]
		}
	}
}

func binaryGo(sum, z, total, t, class *float32, vectors int) {
	s, x, l, y := slice4(sum, 1), slice4(z, vectors), slice4(total, vectors), slice4(t, vectors)
	for i, c := range slice4(class, vectors) {
		if c >= 0 {
			s[i&3] += max(x[i], 0) - y[i]*x[i] + l[i]
		}
	}
}

func sigmoidGradGo(z, p, t, class *float32, vectors int, a, b, c float32) {
	out, x, y := slice4(z, vectors), slice4(p, vectors), slice4(t, vectors)
	for i, of := range slice4(class, vectors) {
		out[i] = 0
		if of >= 0 {
			out[i] = (a+b*y[i])*x[i]*(1-x[i]) + c*(x[i]-y[i])
		}
	}
}
