package cpu

import "math"

func largestGo(m, x *float32, vectors int) {
	a, b := slice4(m, vectors), slice4(x, vectors)
	for i, v := range b {
		a[i] = max(a[i], v)
	}
}

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

func chooseGo(t, a *float32, vectors int, k float32) {
	y := slice4(t, vectors)
	for i, v := range slice4(a, vectors) {
		y[i] = 0
		if v == k {
			y[i] = 1
		}
	}
}

func firstOfGo(p, taken, x, top *float32, vectors int) {
	y, was, a, b := slice4(p, vectors), slice4(taken, vectors), slice4(x, vectors), slice4(top, vectors)
	for i := range y {
		y[i] = 0
		if a[i] == b[i] && was[i] == 0 {
			y[i], was[i] = 1, 1
		}
	}
}

func classSumsGo(sum, p, t, v *float32, vectors int) {
	s, x, y, z := slice4(sum, 3), slice4(p, vectors), slice4(t, vectors), slice4(v, vectors)
	for i := range x {
		s[i&3] += x[i] * y[i]
		s[4+i&3] += x[i] * z[i]
		s[8+i&3] += y[i]
	}
}

func pickedGo(sum, t, l, m, z *float32, vectors int) {
	s, x, y := slice4(sum, 1), slice4(t, vectors), slice4(l, vectors)
	a, b := slice4(m, vectors), slice4(z, vectors)
	for i := range x {
		s[i&3] += x[i] * (y[i] + (a[i] - b[i]))
	}
}

func mixedGo(y, x, t *float32, vectors int, a, b float32) {
	o, p, q := slice4(y, vectors), slice4(x, vectors), slice4(t, vectors)
	for i := range o {
		o[i] += (a + b*q[i]) * p[i]
	}
}

func softGradGo(y, x, t, o, m, c *float32, vectors int, a, b float32) {
	out, p, q, one := slice4(y, vectors), slice4(x, vectors), slice4(t, vectors), slice4(o, vectors)
	mean, ce := slice4(m, vectors), slice4(c, vectors)
	for i := range out {
		out[i] = p[i]*(a+b*q[i]-mean[i]) + ce[i]*(p[i]-one[i])
	}
}
