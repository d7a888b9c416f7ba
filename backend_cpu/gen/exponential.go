package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// exponential is e^t of t = n·log 2 + r ≤ 0, |r| ≤ ½·log 2: 2^n times the
// Taylor series of e^r to r^7, whose next term is below 2^-27.
//
// AVX2 has too few registers for the constants: there they stay in memory.
type exponential struct {
	v     vec
	least reg.VecVirtual
	c     []Op
}

// Constants of an exponential.
const (
	eLog2e = iota
	eMagic
	eHigh
	eLow
	eSeries
)

var exponentialBits = []uint32{
	0x3fb8aa3b,             // 1/log 2
	0x4b40007f,             // 1.5·2^23 + 127: beside it a number is rounded to a whole one, with the bias of an exponent
	0x3f318000, 0xb95e8083, // log 2 in two parts, the first of 9 bits
	0x39500d01, 0x3ab60b61, 0x3c088889, 0x3d2aaaab, 0x3e2aaaab, 0x3f000000, 0x3f800000, // 1/7! … 1/2!, 1
}

// exponentialTable makes the constants in memory.
func exponentialTable(v vec) Mem {
	table := GLOBL("exponential"+v.suffix(), attr.RODATA|attr.NOPTR)
	for i, bits := range exponentialBits {
		for lane := range v.lanes() {
			DATA(i*v.bytes+4*lane, U32(bits))
		}
	}
	return table
}

// newExponential is for use within a kernel; table is where its constants are.
func newExponential(v vec, table Mem) *exponential {
	e := &exponential{v: v, least: v.reg()}
	constant(v, 0xc2b00000, e.least) // −88, whose exponential is below 2^-126
	for i := range exponentialBits {
		at := table.Offset(i * v.bytes)
		if !v.zmm {
			e.c = append(e.c, at)
			continue
		}
		r := v.reg()
		VMOVUPS(at, r)
		e.c = append(e.c, r)
	}
	return e
}

// of makes e^t; t is overwritten.
func (e *exponential) of(t reg.VecVirtual) reg.VecVirtual {
	c, whole, n, y := e.c, e.v.reg(), e.v.reg(), e.v.reg()
	VMAXPS(t, e.least, t)
	VMOVUPS(c[eMagic], whole)
	VFMADD231PS(c[eLog2e], t, whole)
	VSUBPS(c[eMagic], whole, n)
	VFNMADD231PS(c[eHigh], n, t)
	VFNMADD231PS(c[eLow], n, t)
	VMOVUPS(c[eSeries], y)
	for _, k := range c[eSeries+1:] {
		VFMADD213PS(k, t, y)
	}
	VFMADD213PS(c[len(c)-1], t, y) // the series ends with 1, 1
	VPSLLD(Imm(23), whole, whole)
	VMULPS(whole, y, y)
	return y
}
