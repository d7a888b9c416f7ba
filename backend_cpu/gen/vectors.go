package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sweep makes a kernel that runs body once a vector; the parameter vectors
// counts and is at least 1. All pointers advance by a vector of f32.
func sweep(name, parameters string, v vec, pointers []string, setup func(), body func(p []reg.GPVirtual)) {
	text(name, parameters)
	var p []reg.GPVirtual
	for _, name := range pointers {
		p = append(p, Load(Param(name), GP64()).(reg.GPVirtual))
	}
	n := Load(Param("vectors"), GP64())
	setup()
	Label("loop")
	body(p)
	for _, r := range p {
		ADDQ(Imm(uint64(v.bytes)), r)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// add makes dst += src.
func add(v vec) {
	sweep("add_"+v.name, "dst, src *float32, vectors int", v, []string{"dst", "src"}, func() {}, func(p []reg.GPVirtual) {
		a := v.reg()
		VMOVUPS(Mem{Base: p[0]}, a)
		VADDPS(Mem{Base: p[1]}, a, a)
		VMOVUPS(a, Mem{Base: p[0]})
	})
}

// triad makes dst = a + 3b: the probe of the memory's bandwidth.
func triad(v vec) {
	three := v.reg()
	setup := func() { constant(v, 0x40400000, three) }
	sweep("triad_"+v.name, "dst, a, b *float32, vectors int", v, []string{"dst", "a", "b"}, setup, func(p []reg.GPVirtual) {
		x := v.reg()
		VMOVUPS(Mem{Base: p[1]}, x)
		VFMADD231PS(Mem{Base: p[2]}, three, x)
		VMOVUPS(x, Mem{Base: p[0]})
	})
}

// convert makes a kernel that moves rows of vectors, from src elements of
// srcBytes to dst elements of dstBytes each; rows and vectors are at least 1,
// the steps between rows are bytes.
func convert(name string, v vec, dstBytes, srcBytes int, setup func(), body func(dst, src Mem)) {
	text(name+"_"+v.name, "dst, src unsafe.Pointer, rows, vectors, dstStep, srcStep int")
	dstRow, srcRow := Load(Param("dst"), GP64()).(reg.GPVirtual), Load(Param("src"), GP64()).(reg.GPVirtual)
	rows, vectors := Load(Param("rows"), GP64()), Load(Param("vectors"), GP64())
	dstStep, srcStep := Load(Param("dstStep"), GP64()), Load(Param("srcStep"), GP64())
	setup()
	Label("row")
	dst, src, n := GP64(), GP64(), GP64()
	MOVQ(dstRow, dst)
	MOVQ(srcRow, src)
	MOVQ(vectors, n)
	Label("vector")
	body(Mem{Base: dst}, Mem{Base: src})
	ADDQ(Imm(uint64(dstBytes*v.lanes())), dst)
	ADDQ(Imm(uint64(srcBytes*v.lanes())), src)
	DECQ(n)
	JNZ(LabelRef("vector"))
	ADDQ(dstStep, dstRow)
	ADDQ(srcStep, srcRow)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// move copies f32.
func move(v vec) {
	convert("move", v, 4, 4, func() {}, func(dst, src Mem) {
		x := v.reg()
		VMOVUPS(src, x)
		VMOVUPS(x, dst)
	})
}

// constant fills the lanes of r with the 32 bits of c.
func constant(v vec, c uint32, r reg.VecVirtual) {
	g, x := GP32(), XMM()
	MOVL(U32(c), g)
	VMOVD(g, x)
	VPBROADCASTD(x, r)
}

// widenBF16 makes f32 of bfloat16.
func widenBF16(v vec) {
	convert("widenBF16", v, 4, 2, func() {}, func(dst, src Mem) {
		x := v.reg()
		VPMOVZXWD(src, x)
		VPSLLD(Imm(16), x, x)
		VMOVUPS(x, dst)
	})
}

// widenF16 makes f32 of float16.
func widenF16(v vec) {
	convert("widenF16", v, 4, 2, func() {}, func(dst, src Mem) {
		x := v.reg()
		VCVTPH2PS(src, x)
		VMOVUPS(x, dst)
	})
}

// narrowF16 rounds f32 to the nearest float16, ties to even.
func narrowF16(v vec) {
	convert("narrowF16", v, 2, 4, func() {}, func(dst, src Mem) {
		x := v.reg()
		VMOVUPS(src, x)
		VCVTPS2PH(Imm(0), x, dst)
	})
}

// narrower rounds f32 to the nearest bfloat16, ties to even; a NaN keeps its
// upper bits and becomes quiet:
//
//	(x + 0x7fff + (x>>16 & 1)) >> 16, or x>>16 | 0x40 for a NaN
type narrower struct {
	v                vec
	one, half, quiet reg.VecVirtual
	uppers, nan      reg.VecVirtual // of storeBoth: where upper halves are, the bit of a quiet NaN in one
}

// newNarrower fills the registers of a narrower, or is nil.
func newNarrower(v vec, wanted bool) *narrower {
	if !wanted {
		return nil
	}
	n := &narrower{v: v, one: v.reg(), half: v.reg(), quiet: v.reg()}
	constant(v, 1, n.one)
	constant(v, 0x7fff, n.half)
	constant(v, 0x40, n.quiet)
	return n
}

func (n *narrower) store(x reg.VecVirtual, to Mem) {
	v, up, r := n.v, n.v.reg(), n.v.reg()
	const unordered = 3
	VPSRLD(Imm(16), x, up)
	if v.zmm {
		nan := K()
		VCMPPS(Imm(unordered), x, x, nan)
		VPANDD(n.one, up, r)
		VPADDD(n.half, r, r)
		VPADDD(x, r, r)
		VPSRLD(Imm(16), r, r)
		VPORD(n.quiet, up, nan, r)
		VPMOVDW(r, to)
		return
	}
	VPAND(n.one, up, r)
	VPADDD(n.half, r, r)
	VPADDD(x, r, r)
	VPSRLD(Imm(16), r, r)
	VPOR(n.quiet, up, up)
	VCMPPS(Imm(unordered), x, x, x)
	VBLENDVPS(x, up, r, r)
	VPACKUSDW(r, r, r)
	VPERMQ(Imm(0x08), r, r)
	VMOVDQU(r.AsX(), to)
}

// forBoth fills the registers of storeBoth.
func (n *narrower) forBoth() {
	n.uppers, n.nan = n.v.reg(), n.v.reg()
	constant(n.v, 0x00400000, n.nan)
	high := n.v.reg()
	n.v.lanesOf(n.uppers, func(i int) int { return 4*i + 1 })
	n.v.lanesOf(high, func(i int) int { return 4*i + 3 })
	VPSLLD(Imm(16), high, high)
	VPORD(high, n.uppers, n.uppers)
}

// storeBoth is store for two vectors of AVX-512, one behind the other. NaNs, which are
// rare, are a way of their own around label.
func (n *narrower) storeBoth(label string, x, y reg.VecVirtual, to Mem) {
	const unordered = 3
	var rounded [2]reg.VecVirtual
	for i, x := range []reg.VecVirtual{x, y} {
		r := n.v.reg()
		VPSRLD(Imm(16), x, r)
		VPANDD(n.one, r, r)
		VPADDD(n.half, r, r)
		VPADDD(x, r, r)
		rounded[i] = r
	}
	either := K()
	VCMPPS(Imm(unordered), x, y, either)
	KORTESTW(either, either)
	JZ(LabelRef(label))
	for i, x := range []reg.VecVirtual{x, y} {
		nan := K()
		VCMPPS(Imm(unordered), x, x, nan)
		VPORD(n.nan, x, nan, rounded[i])
	}
	Label(label)
	VPERMT2W(rounded[1], n.uppers, rounded[0])
	VMOVUPS(rounded[0], to)
}

func narrowBF16(v vec) {
	var n *narrower
	convert("narrowBF16", v, 2, 4, func() { n = newNarrower(v, true) }, func(dst, src Mem) {
		x := v.reg()
		VMOVUPS(src, x)
		n.store(x, dst)
	})
}

// transpose makes the kernel that transposes a block of lanes x lanes f32;
// steps are bytes.
func transpose(v vec) {
	n := v.lanes()
	text("transpose_"+v.name, "dst, src *float32, dstStep, srcStep int")
	dst, src := Load(Param("dst"), GP64()), Load(Param("src"), GP64())
	dstStep, srcStep := Load(Param("dstStep"), GP64()), Load(Param("srcStep"), GP64())
	r := make([]reg.VecVirtual, n)
	for i := range r {
		r[i] = v.reg()
		VMOVUPS(Mem{Base: src}, r[i])
		ADDQ(srcStep, src)
	}
	// Within 128 bits: r[i+q], part l, becomes column 4l+q of rows i … i+3.
	for i := 0; i < n; i += 4 {
		q := r[i : i+4]
		t := []reg.VecVirtual{v.reg(), v.reg(), v.reg(), v.reg()}
		VUNPCKLPS(q[1], q[0], t[0])
		VUNPCKHPS(q[1], q[0], t[1])
		VUNPCKLPS(q[3], q[2], t[2])
		VUNPCKHPS(q[3], q[2], t[3])
		for l := range q {
			q[l] = v.reg()
		}
		VUNPCKLPD(t[2], t[0], q[0])
		VUNPCKHPD(t[2], t[0], q[1])
		VUNPCKLPD(t[3], t[1], q[2])
		VUNPCKHPD(t[3], t[1], q[3])
	}
	column := make([]reg.VecVirtual, n)
	for q := range 4 {
		if !v.zmm {
			column[q], column[4+q] = v.reg(), v.reg()
			VPERM2F128(Imm(0x20), r[4+q], r[q], column[q])
			VPERM2F128(Imm(0x31), r[4+q], r[q], column[4+q])
			continue
		}
		for odd, parts := range []uint64{0x88, 0xdd} { // 128-bit parts 0 and 2, 1 and 3
			x, y := v.reg(), v.reg()
			VSHUFF32X4(Imm(parts), r[4+q], r[q], x)
			VSHUFF32X4(Imm(parts), r[12+q], r[8+q], y)
			column[4*odd+q], column[4*(2+odd)+q] = v.reg(), v.reg()
			VSHUFF32X4(Imm(0x88), y, x, column[4*odd+q])
			VSHUFF32X4(Imm(0xdd), y, x, column[4*(2+odd)+q])
		}
	}
	for _, c := range column {
		VMOVUPS(c, Mem{Base: dst})
		ADDQ(dstStep, dst)
	}
	VZEROUPPER()
	RET()
}

// peak makes n rounds of 12 independent multiply-adds of zeros: the most that
// a core can do.
func peak(v vec) {
	text("peak_"+v.name, "n int")
	n := Load(Param("n"), GP64())
	r := make([]reg.VecVirtual, 14)
	for i := range r {
		r[i] = v.reg()
		constant(v, 0, r[i])
	}
	Label("loop")
	for _, acc := range r[:12] {
		VFMADD231PS(r[13], r[12], acc)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
