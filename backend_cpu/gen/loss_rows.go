package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// each is a sweep whose setup also fills registers with 32 bits each.
func each(v vec, name, parameters string, pointers []string, bits []uint32, setup func(), body func(p []reg.GPVirtual, c []reg.VecVirtual)) {
	c, fill := v.constants(bits)
	sweep(name+v.suffix(), parameters, v, pointers, func() {
		fill()
		setup()
	}, func(p []reg.GPVirtual) { body(p, c) })
}

const floatOne = 0x3f800000

// expSub makes e^t, t = x − m.
func expSub(v vec, table Mem) {
	var e *exponential
	sweep("expSub"+v.suffix(), "e, x, m *float32, vectors int", v, []string{"e", "x", "m"}, func() {
		e = newExponential(v, table)
	}, func(p []reg.GPVirtual) {
		t := v.reg()
		VMOVUPS(Mem{Base: p[1]}, t)
		VSUBPS(Mem{Base: p[2]}, t, t)
		VMOVUPS(e.of(t), Mem{Base: p[0]})
	})
}

// logs makes log x of x = 2^e·m, √½ ≤ m < √2: e·log 2 plus the series
// 2·(s + s³/3 + … + s⁹/9), s = (m − 1)/(m + 1), whose next term is below 2^-28.
func logs(v vec) {
	const (
		root = iota
		one
		high
		low
		series
		infinite = series + 5
	)
	each(v, "logs", "y, x *float32, vectors int", []string{"y", "x"}, []uint32{
		0x3f3504f3, floatOne, // √½, 1
		0x3f318000, 0xb95e8083, // log 2 in two parts, the first of 9 bits
		0x3e638e39, 0x3e924925, 0x3ecccccd, 0x3f2aaaab, 0x40000000, // 2/9 … 2/3, 2
		0xff800000, // −∞
	}, func() {}, func(p []reg.GPVirtual, c []reg.VecVirtual) {
		x, e, m, s, q, y := v.reg(), v.reg(), v.reg(), v.reg(), v.reg(), v.reg()
		VMOVUPS(Mem{Base: p[1]}, x)
		VPSUBD(c[root], x, e)
		VPSRAD(Imm(23), e, e)
		VPSLLD(Imm(23), e, m)
		VPSUBD(m, x, m)
		VCVTDQ2PS(e, e)
		VADDPS(c[one], m, q)
		VSUBPS(c[one], m, s)
		VDIVPS(q, s, s)
		VMULPS(s, s, q)
		VMOVAPS(c[series], y)
		for _, k := range c[series+1 : infinite] {
			VFMADD213PS(k, q, y)
		}
		VMULPS(s, y, y)
		VFMADD231PS(c[low], e, y)
		VFMADD231PS(c[high], e, y)
		VXORPS(q, q, q)
		v.choose(v.compare(lessEqual, q, x), c[infinite], y)
		VMOVUPS(y, Mem{Base: p[0]})
	})
}

// classes makes class = label, 0 above the last class, −1 where it is ignored.
func classes(v vec) {
	var last, ignore reg.VecVirtual
	text("classes"+v.suffix(), "class *float32, labels *byte, vectors int, last, ignore float32")
	class, labels, n := Load(Param("class"), GP64()).(reg.GPVirtual), Load(Param("labels"), GP64()).(reg.GPVirtual), Load(Param("vectors"), GP64())
	last, ignore = v.scalar("last"), v.scalar("ignore")
	none := v.reg()
	constant(v, 0xbf800000, none)
	Label("loop")
	x, c := v.reg(), v.reg()
	VPMOVZXBD(Mem{Base: labels}, x)
	VCVTDQ2PS(x, x)
	v.where(v.compare(lessEqual, last, x), x, c)
	v.choose(v.compare(equal, ignore, x), none, c)
	VMOVUPS(c, Mem{Base: class})
	ADDQ(Imm(uint64(v.bytes)), class)
	ADDQ(Imm(uint64(v.lanes())), labels)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// choose makes t = a is k ? 1 : 0.
func choose(v vec) {
	var k reg.VecVirtual
	each(v, "choose", "t, a *float32, vectors int, k float32", []string{"t", "a"}, []uint32{floatOne}, func() {
		k = v.scalar("k")
	}, func(p []reg.GPVirtual, c []reg.VecVirtual) {
		t := v.reg()
		v.where(v.compare(equal, Mem{Base: p[1]}, k), c[0], t)
		VMOVUPS(t, Mem{Base: p[0]})
	})
}

// sigmoid makes p = 1/(1 + exp(−z)) and total = 1 + exp(−|z|).
func sigmoid(v vec, table Mem) {
	var e *exponential
	var one, sign, zero reg.VecVirtual
	sweep("sigmoid"+v.suffix(), "p, total, z *float32, vectors int", v, []string{"p", "total", "z"}, func() {
		e = newExponential(v, table)
		one, sign, zero = v.reg(), v.reg(), v.reg()
		constant(v, floatOne, one)
		constant(v, 0x80000000, sign)
		constant(v, 0, zero)
	}, func(p []reg.GPVirtual) {
		z, t, sum := v.reg(), v.reg(), v.reg()
		VMOVUPS(Mem{Base: p[2]}, z)
		VORPS(sign, z, t)
		y := e.of(t)
		VADDPS(one, y, sum)
		v.choose(v.compare(lessEqual, z, zero), one, y) // 0 ≤ z
		VDIVPS(sum, y, y)
		VMOVUPS(y, Mem{Base: p[0]})
		VMOVUPS(sum, Mem{Base: p[1]})
	})
}

// sumsOf makes a kernel whose sums [n lanes] lie behind the first parameter.
func sumsOf(v vec, name, parameters string, pointers []string, n int, body func(p []reg.GPVirtual, acc []reg.VecVirtual)) {
	text(name+v.suffix(), "sum *float32, "+parameters+" *float32, vectors int")
	sum := Load(Param("sum"), GP64()).(reg.GPVirtual)
	acc := v.vectors(n)
	for i, a := range acc {
		VMOVUPS(Mem{Base: sum, Disp: i * v.bytes}, a)
	}
	var p []reg.GPVirtual
	for _, name := range pointers {
		p = append(p, Load(Param(name), GP64()).(reg.GPVirtual))
	}
	count := Load(Param("vectors"), GP64())
	Label("loop")
	body(p, acc)
	for _, r := range p {
		ADDQ(Imm(uint64(v.bytes)), r)
	}
	DECQ(count)
	JNZ(LabelRef("loop"))
	for i, a := range acc {
		VMOVUPS(a, Mem{Base: sum, Disp: i * v.bytes})
	}
	VZEROUPPER()
	RET()
}

// counts says where the class at p is 0 or above.
func (v vec) counts(p reg.GPVirtual) mask {
	zero := v.reg()
	VXORPS(zero, zero, zero)
	return v.compare(lessEqual, Mem{Base: p}, zero)
}

// regionSums adds Σ p·t, Σ p and Σ t of voxels that count.
func regionSums(v vec) {
	sumsOf(v, "regionSums", "p, t, class", []string{"p", "t", "class"}, 3, func(p []reg.GPVirtual, acc []reg.VecVirtual) {
		x, t := v.reg(), v.reg()
		VMOVUPS(Mem{Base: p[0]}, x)
		VMOVUPS(Mem{Base: p[1]}, t)
		counts := v.counts(p[2])
		v.where(counts, t, t)
		VFMADD231PS(t, x, acc[0])
		v.addWhere(counts, x, acc[1])
		VADDPS(t, acc[2], acc[2])
	})
}

// binary adds Σ max(z, 0) − t·z + total of voxels that count; total is a logarithm.
func binary(v vec) {
	sumsOf(v, "binary", "z, total, t, class", []string{"z", "total", "t", "class"}, 1, func(p []reg.GPVirtual, acc []reg.VecVirtual) {
		z, x, zero := v.reg(), v.reg(), v.reg()
		VXORPS(zero, zero, zero)
		VMOVUPS(Mem{Base: p[0]}, z)
		VMAXPS(zero, z, x)
		VFNMADD231PS(Mem{Base: p[2]}, z, x)
		VADDPS(Mem{Base: p[1]}, x, x)
		v.addWhere(v.counts(p[3]), x, acc[0])
	})
}

// sigmoidGrad makes z = (a + b·t)·p·(1 − p) + c·(p − t), 0 where the voxel does not count.
func sigmoidGrad(v vec) {
	var a, b, ce reg.VecVirtual
	each(v, "sigmoidGrad", "z, p, t, class *float32, vectors int, a, b, c float32", []string{"z", "p", "t", "class"}, []uint32{floatOne}, func() {
		a, b, ce = v.scalar("a"), v.scalar("b"), v.scalar("c")
	}, func(p []reg.GPVirtual, c []reg.VecVirtual) {
		x, t, y, q := v.reg(), v.reg(), v.reg(), v.reg()
		VMOVUPS(Mem{Base: p[1]}, x)
		VMOVUPS(Mem{Base: p[2]}, t)
		VMOVAPS(a, y)
		VFMADD231PS(t, b, y)
		VSUBPS(x, c[0], q)
		VMULPS(x, q, q)
		VMULPS(q, y, y)
		VSUBPS(t, x, t)
		VFMADD231PS(t, ce, y)
		v.where(v.counts(p[3]), y, y)
		VMOVUPS(y, Mem{Base: p[0]})
	})
}
