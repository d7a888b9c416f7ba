package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of cpu.update.
const (
	uW, uG, uM, uV, uN, uP   = 0, 8, 16, 24, 32, 40
	uFactor, uDecay, uRate   = 48, 52, 56
	uBeta1, uOwn, uOf        = 60, 64, 68
	uRest1, uBeta2, uRest2   = 72, 76, 80
	uShrink, uRoot, uEpsilon = 84, 88, 92
	uRest3                   = 96
)

// squares adds in f64: lane j takes elements j mod 4.
func squares(v vec) {
	var sum reg.GPVirtual
	acc := []reg.VecVirtual{YMM(), YMM(), YMM(), YMM()}
	text("squares"+v.suffix(), "sum *float64, x *float32, vectors int")
	sum = Load(Param("sum"), GP64()).(reg.GPVirtual)
	x, n := Load(Param("x"), GP64()).(reg.GPVirtual), Load(Param("vectors"), GP64())
	VMOVUPD(Mem{Base: sum}, acc[0])
	for _, a := range acc[1:] {
		VXORPD(a, a, a)
	}
	Label("loop")
	PREFETCHT0(Mem{Base: x, Disp: ahead})
	for j := range v.lanes() / 4 {
		y := YMM()
		VCVTPS2PD(Mem{Base: x, Disp: 16 * j}, y)
		VFMADD231PD(y, y, acc[j])
	}
	ADDQ(Imm(uint64(v.bytes)), x)
	DECQ(n)
	JNZ(LabelRef("loop"))
	for _, a := range acc[1:] {
		VADDPD(a, acc[0], acc[0])
	}
	VMOVUPD(acc[0], Mem{Base: sum})
	VZEROUPPER()
	RET()
}

// updates begins a kernel over a cpu.update: body is run for each vector.
func updates(v vec, name string, pointers, coefficients []int, body func(p []Mem, c []reg.VecVirtual)) {
	text(name+v.suffix(), "u *update, vectors int")
	u, n := Load(Param("u"), GP64()).(reg.GPVirtual), Load(Param("vectors"), GP64())
	var p []Mem
	for _, field := range pointers {
		r := GP64()
		MOVQ(Mem{Base: u, Disp: field}, r)
		p = append(p, Mem{Base: r})
	}
	c := v.vectors(len(coefficients))
	for i, field := range coefficients {
		VBROADCASTSS(Mem{Base: u, Disp: field}, c[i])
	}
	Label("loop")
	body(p, c)
	for _, m := range p {
		ADDQ(Imm(uint64(v.bytes)), m.Base)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// sgd has the formula of cpu.update.
func sgd(v vec) {
	updates(v, "sgd", []int{uW, uG, uM}, []int{uFactor, uDecay, uRate, uBeta1, uOwn, uOf}, func(p []Mem, c []reg.VecVirtual) {
		w, d, m, by := v.reg(), v.reg(), v.reg(), v.reg()
		VMOVUPS(p[0], w)
		VMULPS(p[1], c[0], d)
		VFMADD231PS(w, c[1], d)
		VMOVAPS(c[3], m)
		VFMADD132PS(p[2], d, m)
		VMOVUPS(m, p[2])
		VMULPS(c[4], d, by)
		VFMADD231PS(m, c[5], by)
		VFNMADD231PS(by, c[2], w)
		VMOVUPS(w, p[0])
	})
}

// adam has the formula of cpu.update.
func adam(v vec) {
	fields := []int{uFactor, uDecay, uRate, uBeta1, uRest1, uBeta2, uRest2, uShrink, uRoot, uEpsilon}
	updates(v, "adam", []int{uW, uG, uM, uV}, fields, func(p []Mem, c []reg.VecVirtual) {
		w, d, m, t := v.reg(), v.reg(), v.reg(), v.reg()
		VMOVUPS(p[0], w)
		VMULPS(p[1], c[0], d)
		VFMADD231PS(w, c[1], d)
		VMULPS(p[2], c[3], m)
		VFMADD231PS(d, c[4], m)
		VMOVUPS(m, p[2])
		VMULPS(d, d, d)
		VMULPS(c[6], d, d)
		VMOVAPS(c[5], t)
		VFMADD132PS(p[3], d, t) // v
		VMOVUPS(t, p[3])
		VSQRTPS(t, t)
		VFMADD213PS(c[9], c[8], t)
		VMULPS(c[2], m, m)
		VDIVPS(t, m, m)
		VFNMADD231PS(w, c[7], w)
		VSUBPS(m, w, w)
		VMOVUPS(w, p[0])
	})
}

// adan has the formula of cpu.update.
func adan(v vec) {
	fields := []int{uFactor, uRate, uOf, uRest1, uBeta2, uRest2, uRest3, uShrink, uRoot, uEpsilon}
	updates(v, "adan", []int{uW, uG, uM, uV, uN, uP}, fields, func(p []Mem, c []reg.VecVirtual) {
		factor, rate, of, rest1, beta2, rest2, rest3, shrink, root, epsilon := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9]
		d, e, m, s, t := v.reg(), v.reg(), v.reg(), v.reg(), v.reg()
		VMULPS(p[1], factor, d)
		VSUBPS(p[5], d, e)
		VMOVUPS(d, p[5])
		moment := func(at Mem, of, rest, m reg.VecVirtual) {
			VMOVUPS(at, m)
			VSUBPS(m, of, t)
			VFMADD231PS(t, rest, m)
			VMOVUPS(m, at)
		}
		moment(p[2], d, rest1, m)
		moment(p[3], e, rest2, s)
		VMULPS(rate, m, m)
		VFMADD231PS(s, of, m)
		VFMADD231PS(e, beta2, d)
		VMULPS(d, d, d)
		moment(p[4], d, rest3, s)
		VSQRTPS(s, s)
		VFMADD213PS(epsilon, root, s)
		VDIVPS(s, m, m)
		VMOVUPS(p[0], t)
		VSUBPS(m, t, t)
		VMULPS(shrink, t, t)
		VMOVUPS(t, p[0])
	})
}
