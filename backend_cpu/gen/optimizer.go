package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of cpu.update.
const (
	uW, uG, uM, uV           = 0, 8, 16, 24
	uFactor, uDecay, uRate   = 32, 36, 40
	uBeta1, uOwn, uOf        = 44, 48, 52
	uRest1, uBeta2, uRest2   = 56, 60, 64
	uShrink, uRoot, uEpsilon = 68, 72, 76
)

// squares adds in f64: lane j takes elements j mod 4.
func squares() {
	var sum reg.GPVirtual
	acc := []reg.VecVirtual{YMM(), YMM()}
	text("squaresAVX2", "sum *float64, x *float32, vectors int")
	sum = Load(Param("sum"), GP64()).(reg.GPVirtual)
	x, n := Load(Param("x"), GP64()).(reg.GPVirtual), Load(Param("vectors"), GP64())
	VMOVUPD(Mem{Base: sum}, acc[0])
	VXORPD(acc[1], acc[1], acc[1])
	Label("loop")
	for j := range acc {
		v := YMM()
		VCVTPS2PD(Mem{Base: x, Disp: 16 * j}, v)
		VFMADD231PD(v, v, acc[j])
	}
	ADDQ(Imm(vector), x)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VADDPD(acc[1], acc[0], acc[0])
	VMOVUPD(acc[0], Mem{Base: sum})
	VZEROUPPER()
	RET()
}

// updates begins a kernel over a cpu.update: body is run for each vector.
func updates(name string, pointers, coefficients []int, body func(p []Mem, c []reg.VecVirtual)) {
	text(name, "u *update, vectors int")
	u, n := Load(Param("u"), GP64()).(reg.GPVirtual), Load(Param("vectors"), GP64())
	var p []Mem
	for _, field := range pointers {
		r := GP64()
		MOVQ(Mem{Base: u, Disp: field}, r)
		p = append(p, Mem{Base: r})
	}
	c := vectors(len(coefficients))
	for i, field := range coefficients {
		VBROADCASTSS(Mem{Base: u, Disp: field}, c[i])
	}
	Label("loop")
	body(p, c)
	for _, m := range p {
		ADDQ(Imm(vector), m.Base)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// sgd has the formula of cpu.update.
func sgd() {
	updates("sgdAVX2", []int{uW, uG, uM}, []int{uFactor, uDecay, uRate, uBeta1, uOwn, uOf}, func(p []Mem, c []reg.VecVirtual) {
		w, d, m, by := YMM(), YMM(), YMM(), YMM()
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
func adam() {
	fields := []int{uFactor, uDecay, uRate, uBeta1, uRest1, uBeta2, uRest2, uShrink, uRoot, uEpsilon}
	updates("adamAVX2", []int{uW, uG, uM, uV}, fields, func(p []Mem, c []reg.VecVirtual) {
		w, d, m, t := YMM(), YMM(), YMM(), YMM()
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
