package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dot makes step voxels of co sums over ci channels, of x [voxels ci] by w [co ci]. Their
// sums fill the registers, and enough of them wait for each other's multiply-adds.
func dot(co, step int) {
	text(fmt.Sprintf("dot%dAVX2", co), "y, x, w, b *float32, ci, steps int")
	y, x := Load(Param("y"), GP64()).(reg.GPVirtual), Load(Param("x"), GP64()).(reg.GPVirtual)
	w, b := Load(Param("w"), GP64()).(reg.GPVirtual), Load(Param("b"), GP64()).(reg.GPVirtual)
	row, steps := Load(Param("ci"), GP64()).(reg.GPVirtual), Load(Param("steps"), GP64())
	SHLQ(Imm(2), row)
	row3 := GP64()
	LEAQ(Mem{Base: row, Index: row, Scale: 2}, row3)
	// rows are addresses of row i of p, and of p4 four rows on, at the current channel.
	at := func(p, p4 reg.GPVirtual, i int) Mem {
		if i >= 4 {
			p, i = p4, i-4
		}
		return []Mem{{Base: p}, {Base: p, Index: row, Scale: 1}, {Base: p, Index: row, Scale: 2}, {Base: p, Index: row3, Scale: 1}}[i]
	}
	Label("step")
	acc := avx2.vectors(step * co)
	for _, a := range acc {
		VXORPS(a, a, a)
	}
	p, p4, q, n := GP64(), GP64(), GP64(), GP64()
	MOVQ(x, p)
	LEAQ(Mem{Base: x, Index: row, Scale: 4}, p4)
	MOVQ(w, q)
	MOVQ(row, n)
	Label("channels")
	weights := avx2.vectors(co)
	for j, r := range weights {
		VMOVUPS(at(q, q, j), r)
	}
	for v := range step {
		m := at(p, p4, v)
		in := YMM()
		VMOVUPS(m, in)
		m.Disp = ahead
		PREFETCHT0(m)
		for j, r := range weights {
			VFMADD231PS(in, r, acc[v*co+j])
		}
	}
	for _, r := range []reg.GPVirtual{p, p4, q} {
		ADDQ(Imm(uint64(avx2.bytes)), r)
	}
	SUBQ(Imm(uint64(avx2.bytes)), n)
	JNZ(LabelRef("channels"))
	for i := 0; i < len(acc); i += 4 { // four sums at a time
		VHADDPS(acc[i+1], acc[i], acc[i])
		VHADDPS(acc[i+3], acc[i+2], acc[i+2])
		VHADDPS(acc[i+2], acc[i], acc[i])
		high := XMM()
		VEXTRACTF128(Imm(1), acc[i], high)
		low := acc[i].AsX()
		VADDPS(high, low, low)
		VADDPS(Mem{Base: b, Disp: 4 * i}, low, low)
		VMOVUPS(low, Mem{Base: y, Disp: 4 * i})
	}
	ADDQ(Imm(uint64(4*step*co)), y)
	for range step {
		ADDQ(row, x)
	}
	DECQ(steps)
	JNZ(LabelRef("step"))
	VZEROUPPER()
	RET()
}
