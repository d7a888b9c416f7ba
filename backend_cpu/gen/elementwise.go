package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	ahead     = 8192 // bytes that are prefetched: the processor alone leaves memory idle
	equal     = 0    // of VCMPPS
	less      = 1
	lessEqual = 2
)

// elementwise makes the kernels of cpu.flat.
func elementwise(v vec) {
	for _, half := range []bool{false, true} {
		sums(v, half)
		moments(v, half)
		norm(v, half)
		gradSums(v, half)
		grad(v, half)
	}
	leakyAdd(v)
	leakyGrad(v)
	axpy(v)
	blend(v)
	if v.zmm { // others have no kernels of pairs
		foldChannels(v)
		foldVoxels(v)
	}
	squares(v)
	sgd(v)
	adam(v)
	losses(v)
}

// scalar broadcasts a parameter.
func (v vec) scalar(name string) reg.VecVirtual {
	x, r := XMM(), v.reg()
	Load(Param(name), x)
	VBROADCASTSS(x, r)
	return r
}

func leakyAdd(v vec) {
	var slope, zero reg.VecVirtual
	setup := func() {
		slope, zero = v.scalar("slope"), v.reg()
		VXORPS(zero, zero, zero)
	}
	sweep("leakyAdd"+v.suffix(), "y, a, b *float32, vectors int, slope float32", v, []string{"y", "a", "b"}, setup, func(p []reg.GPVirtual) {
		x := v.reg()
		VMOVUPS(Mem{Base: p[1]}, x)
		VADDPS(Mem{Base: p[2]}, x, x)
		v.scaleWhere(v.compare(less, zero, x), slope, x)
		VMOVUPS(x, Mem{Base: p[0]})
	})
}

func leakyGrad(v vec) {
	var slope, zero reg.VecVirtual
	setup := func() {
		slope, zero = v.scalar("slope"), v.reg()
		VXORPS(zero, zero, zero)
	}
	sweep("leakyGrad"+v.suffix(), "dx, dy, y *float32, vectors int, slope float32", v, []string{"dx", "dy", "y"}, setup, func(p []reg.GPVirtual) {
		g, y := v.reg(), v.reg()
		VMOVUPS(Mem{Base: p[1]}, g)
		VMOVUPS(Mem{Base: p[2]}, y)
		v.scaleWhere(v.compare(less, zero, y), slope, g)
		VMOVUPS(g, Mem{Base: p[0]})
	})
}

func axpy(v vec) {
	var m reg.VecVirtual
	setup := func() { m = v.scalar("m") }
	sweep("axpy"+v.suffix(), "y, x *float32, vectors int, m float32", v, []string{"y", "x"}, setup, func(p []reg.GPVirtual) {
		y := v.reg()
		VMOVUPS(Mem{Base: p[0]}, y)
		VFMADD231PS(Mem{Base: p[1]}, m, y)
		VMOVUPS(y, Mem{Base: p[0]})
	})
}

// blend spreads a vector of weights over k vectors of x, which hold as many voxels of k
// classes.
func blend(v vec) {
	text("blend"+v.suffix(), "y, x, w *float32, index *int32, k, groups int")
	y, x, w := Load(Param("y"), GP64()), Load(Param("x"), GP64()), Load(Param("w"), GP64())
	index, k, groups := Load(Param("index"), GP64()), Load(Param("k"), GP64()), Load(Param("groups"), GP64())
	weights, at, n := v.reg(), GP64(), GP64()
	Label("group")
	VMOVUPS(Mem{Base: w.(reg.Register)}, weights)
	MOVQ(index, at)
	MOVQ(k, n)
	Label("vector")
	of, acc := v.reg(), v.reg()
	VMOVUPS(Mem{Base: at}, of)
	VMOVUPS(Mem{Base: y.(reg.Register)}, acc)
	VPERMPS(weights, of, of)
	VFMADD231PS(Mem{Base: x.(reg.Register)}, of, acc)
	VMOVUPS(acc, Mem{Base: y.(reg.Register)})
	for _, p := range []Op{at, x, y} {
		ADDQ(Imm(uint64(v.bytes)), p)
	}
	DECQ(n)
	JNZ(LabelRef("vector"))
	ADDQ(Imm(uint64(v.bytes)), w)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}
