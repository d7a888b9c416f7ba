package main

import (
	"strings"

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
		leakyAdd(v, half)
		leakyGrad(v, half)
	}
	foldSingles(v)
	if v.zmm { // others have no kernels of pairs
		foldChannels(v)
		foldVoxels(v)
	} else { // see cpu.flat's short
		axpy(v)
		blend(v)
	}
	squares(v)
	sgd(v)
	adam(v)
	adan(v)
	losses(v)
}

// scalar broadcasts a parameter.
func (v vec) scalar(name string) reg.VecVirtual {
	x, r := XMM(), v.reg()
	Load(Param(name), x)
	VBROADCASTSS(x, r)
	return r
}

// pointwise makes a kernel of y, a and b in f32 or, with half, in bf16: body makes the
// vector of y in x.
func pointwise(v vec, half bool, name, pointers string, body func(x, b, slope, zero reg.VecVirtual)) {
	if half {
		name += "Half"
	}
	text(name+v.suffix(), pointers+" unsafe.Pointer, vectors int, slope float32")
	f := &sweepFrame{v: v, half: half, narrow: newNarrower(v, half)}
	var p []reg.GPVirtual
	for _, name := range strings.Split(pointers, ", ") {
		p = append(p, Load(Param(name), GP64()).(reg.GPVirtual))
	}
	n, slope, zero, bytes := Load(Param("vectors"), GP64()), v.scalar("slope"), v.reg(), v.bytes
	VXORPS(zero, zero, zero)
	if half {
		bytes /= 2
	}
	Label("loop")
	x, b := v.reg(), v.reg()
	f.read(Mem{Base: p[1]}, x)
	f.read(Mem{Base: p[2]}, b)
	for _, r := range p {
		PREFETCHT0(Mem{Base: r, Disp: pointAhead})
	}
	body(x, b, slope, zero)
	f.write(x, Mem{Base: p[0]})
	for _, r := range p {
		ADDQ(Imm(uint64(bytes)), r)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// pointAhead is bytes that pointwise kernels prefetch.
const pointAhead = 4096

func leakyAdd(v vec, half bool) {
	pointwise(v, half, "leakyAdd", "y, a, b", func(x, b, slope, zero reg.VecVirtual) {
		VADDPS(b, x, x)
		v.scaleWhere(v.compare(less, zero, x), slope, x)
	})
}

func leakyGrad(v vec, half bool) {
	pointwise(v, half, "leakyGrad", "dx, dy, y", func(x, y, slope, zero reg.VecVirtual) {
		v.scaleWhere(v.compare(less, zero, y), slope, x)
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
