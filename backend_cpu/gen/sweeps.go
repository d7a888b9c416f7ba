package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of cpu.sweep.
const (
	sX, sDY, sY         = 0, 8, 16
	sRows, sColumns     = 24, 32
	sMean, sScale       = 40, 48
	sShift, sK0, sK1    = 56, 64, 72
	sSum, sSum2, sSlope = 80, 88, 96
)

// block is cpu.flat's block of columns, in elements.
const block = 32

// sweepFrame is the registers of a kernel over a cpu.sweep, whose rows are f32 or, with
// half, bf16. at is twice the current column: the bytes of a bf16.
type sweepFrame struct {
	v                    vec
	half                 bool
	s, rows, columns, at reg.GPVirtual
	slope, zero          reg.VecVirtual
	narrow               *narrower

	// Of twoByTwo: the upper halves of all lanes, which words go there, and a vector that
	// waits for the next one.
	upper reg.OpmaskVirtual
	words [2]reg.VecVirtual
	held  reg.VecVirtual
}

// openSweep begins a kernel.
func openSweep(v vec, name string, half bool) *sweepFrame {
	if half {
		name += "Half"
	}
	text(name+v.suffix(), "s *sweep")
	f := &sweepFrame{v: v, half: half, s: Load(Param("s"), GP64()).(reg.GPVirtual), rows: GP64(), columns: GP64(), at: GP64()}
	MOVQ(Mem{Base: f.s, Disp: sColumns}, f.columns)
	ADDQ(f.columns, f.columns)
	return f
}

func (f *sweepFrame) pointer(field int) reg.GPVirtual {
	r := GP64()
	MOVQ(Mem{Base: f.s, Disp: field}, r)
	return r
}

// leaky fills the registers that a leaky ReLU needs.
func (f *sweepFrame) leaky() {
	f.slope, f.zero = f.v.reg(), f.v.reg()
	VBROADCASTSS(Mem{Base: f.s, Disp: sSlope}, f.slope)
	VXORPS(f.zero, f.zero, f.zero)
}

// across is vector j of a column vector at the current column.
func (f *sweepFrame) across(p reg.GPVirtual, j int) Mem {
	return Mem{Base: p, Index: f.at, Scale: 2, Disp: j * f.v.bytes}
}

// data is vector j of a row at the current column.
func (f *sweepFrame) data(p reg.GPVirtual, j int) Mem {
	if f.half {
		return Mem{Base: p, Index: f.at, Scale: 1, Disp: j * f.v.bytes / 2}
	}
	return f.across(p, j)
}

// read makes f32 of a vector of a row.
func (f *sweepFrame) read(from Mem, to reg.VecVirtual) {
	if f.half {
		VPMOVZXWD(from, to)
		VPSLLD(Imm(16), to, to)
		return
	}
	VMOVUPS(from, to)
}

// twoByTwo says that vectors of a row are read and written in twos: what fills a register
// in bf16, with AVX-512.
func (f *sweepFrame) twoByTwo() bool { return f.half && f.v.zmm }

// rounding fills the registers that readNext and writeNext need.
func (f *sweepFrame) rounding() {
	f.narrow = newNarrower(f.v, f.half)
	if !f.twoByTwo() {
		return
	}
	f.narrow.forBoth()
	g := GP32()
	f.upper = K()
	MOVL(U32(0xaaaaaaaa), g)
	KMOVD(g, f.upper)
	for i := range f.words {
		f.words[i] = f.v.reg()
		f.v.lanesOf(f.words[i], func(lane int) int { return 16*i + lane })
		VPSLLD(Imm(16), f.words[i], f.words[i])
	}
}

// readNext makes f32 of vector j of a row.
func (f *sweepFrame) readNext(p reg.GPVirtual, j int) reg.VecVirtual {
	to := f.v.reg()
	if f.twoByTwo() {
		VPERMW_Z(f.data(p, j&^1), f.words[j&1], f.upper, to)
	} else {
		f.read(f.data(p, j), to)
	}
	return to
}

// writeNext stores vector j of a row; vectors come in their order.
func (f *sweepFrame) writeNext(x reg.VecVirtual, p reg.GPVirtual, j int) {
	switch {
	case !f.twoByTwo():
		f.write(x, f.data(p, j))
	case j%2 == 0:
		f.held = x
	default:
		f.narrow.storeBoth(fmt.Sprintf("numbers%d", j), f.held, x, f.data(p, j-1))
	}
}

// write stores a vector of a row.
func (f *sweepFrame) write(x reg.VecVirtual, to Mem) {
	if f.half {
		f.narrow.store(x, to)
		return
	}
	VMOVUPS(x, to)
}

// nextRow moves pointers by a row.
func (f *sweepFrame) nextRow(data []reg.GPVirtual) {
	for _, p := range data {
		ADDQ(f.columns, p)
		if !f.half {
			ADDQ(f.columns, p)
		}
	}
}

// prefetch asks for a block of a row that is to be used soon.
func (f *sweepFrame) prefetch(at func(j int) Mem) {
	step := 64 / f.v.bytes
	if f.half {
		step *= 2
	}
	for j := 0; j < block/f.v.lanes(); j += step {
		m := at(j)
		m.Disp += ahead
		PREFETCHT0(m)
	}
}

// eachRow runs body for the vectors of all blocks of all rows; data are the
// pointers to rows.
func (f *sweepFrame) eachRow(data []reg.GPVirtual, body func(j int)) {
	MOVQ(Mem{Base: f.s, Disp: sRows}, f.rows)
	Label("row")
	XORQ(f.at, f.at)
	Label("block")
	for _, p := range data {
		f.prefetch(func(j int) Mem { return f.data(p, j) })
	}
	for j := range block / f.v.lanes() {
		body(j)
	}
	ADDQ(Imm(2*block), f.at)
	CMPQ(f.at, f.columns)
	JLT(LabelRef("block"))
	f.nextRow(data)
	DECQ(f.rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// together is how many rows are summed up before their sums are added to those before:
// so that rounding does not grow with all rows.
const together = 32

// eachColumn adds n sums for each block of columns through all rows to those at the
// fields to: body adds the vectors of a row, p being where rows that begin at the fields
// from have them, to acc [n].
func (f *sweepFrame) eachColumn(from, to []int, body func(j int, p []Mem, acc []reg.VecVirtual)) {
	left := GP64()
	XORQ(f.at, f.at)
	Label("columns")
	MOVQ(Mem{Base: f.s, Disp: sRows}, left)
	p := make([]reg.GPVirtual, len(from))
	for i, field := range from {
		p[i] = f.pointer(field)
		LEAQ(f.data(p[i], 0), p[i])
	}
	at := func(p reg.GPVirtual, j int) Mem {
		if f.half {
			return Mem{Base: p, Disp: j * f.v.bytes / 2}
		}
		return Mem{Base: p, Disp: j * f.v.bytes}
	}
	acc := make([][]reg.VecVirtual, block/f.v.lanes())
	Label("group")
	for j := range acc {
		acc[j] = f.v.vectors(len(to))
		for _, a := range acc[j] {
			VXORPS(a, a, a)
		}
	}
	MOVQ(U32(together), f.rows)
	CMPQ(left, f.rows)
	CMOVQLT(left, f.rows)
	SUBQ(f.rows, left)
	Label("row")
	for _, p := range p {
		f.prefetch(func(j int) Mem { return at(p, j) })
	}
	for j := range acc {
		m := make([]Mem, len(p))
		for i, p := range p {
			m[i] = at(p, j)
		}
		body(j, m, acc[j])
	}
	f.nextRow(p)
	DECQ(f.rows)
	JNZ(LabelRef("row"))
	for i, field := range to {
		sum := f.pointer(field)
		for j := range acc {
			VADDPS(f.across(sum, j), acc[j][i], acc[j][i])
			VMOVUPS(acc[j][i], f.across(sum, j))
		}
	}
	TESTQ(left, left)
	JNZ(LabelRef("group"))
	ADDQ(Imm(2*block), f.at)
	CMPQ(f.at, f.columns)
	JLT(LabelRef("columns"))
	VZEROUPPER()
	RET()
}

func sums(v vec, half bool) {
	f := openSweep(v, "sums", half)
	f.eachColumn([]int{sX}, []int{sSum}, func(_ int, p []Mem, acc []reg.VecVirtual) {
		x := v.reg()
		f.read(p[0], x)
		VADDPS(x, acc[0], acc[0])
	})
}

func moments(v vec, half bool) {
	f := openSweep(v, "moments", half)
	mean := f.pointer(sMean)
	f.eachColumn([]int{sX}, []int{sSum, sSum2}, func(j int, p []Mem, acc []reg.VecVirtual) {
		d := v.reg()
		f.read(p[0], d)
		VSUBPS(f.across(mean, j), d, d)
		VADDPS(d, acc[0], acc[0])
		VFMADD231PS(d, d, acc[1])
	})
}

func norm(v vec, half bool) {
	f := openSweep(v, "norm", half)
	f.leaky()
	f.rounding()
	x, y := f.pointer(sX), f.pointer(sY)
	mean, scale, shift := f.pointer(sMean), f.pointer(sScale), f.pointer(sShift)
	f.eachRow([]reg.GPVirtual{x, y}, func(j int) {
		d, a := f.readNext(x, j), v.reg()
		VMOVUPS(f.across(scale, j), a)
		VSUBPS(f.across(mean, j), d, d)
		VFMADD213PS(f.across(shift, j), a, d)
		v.scaleWhere(v.compare(less, f.zero, d), f.slope, d)
		f.writeNext(d, y, j)
	})
}

// gradOf makes d of x and g of dy: scale is a register, for it is used again.
func (f *sweepFrame) gradOf(d, g reg.VecVirtual, mean, scale, shift Op) {
	pre := f.v.reg()
	VSUBPS(mean, d, d)
	VMOVAPS(d, pre)
	VFMADD213PS(shift, scale, pre)
	f.v.scaleWhere(f.v.compare(less, f.zero, pre), f.slope, g)
}

func gradSums(v vec, half bool) {
	f := openSweep(v, "gradSums", half)
	f.leaky()
	mean, pScale, shift := f.pointer(sMean), f.pointer(sScale), f.pointer(sShift)
	f.eachColumn([]int{sX, sDY}, []int{sSum, sSum2}, func(j int, p []Mem, acc []reg.VecVirtual) {
		scale, d, g := v.reg(), v.reg(), v.reg()
		VMOVUPS(f.across(pScale, j), scale)
		f.read(p[0], d)
		f.read(p[1], g)
		f.gradOf(d, g, f.across(mean, j), scale, f.across(shift, j))
		VADDPS(g, acc[0], acc[0])
		VFMADD231PS(d, g, acc[1])
	})
}

func grad(v vec, half bool) {
	f := openSweep(v, "grad", half)
	f.leaky()
	f.rounding()
	x, dy, dx := f.pointer(sX), f.pointer(sDY), f.pointer(sY)
	mean, pScale, shift, k0, k1 := f.pointer(sMean), f.pointer(sScale), f.pointer(sShift), f.pointer(sK0), f.pointer(sK1)
	f.eachRow([]reg.GPVirtual{x, dy, dx}, func(j int) {
		scale, c, d, g := v.reg(), v.reg(), v.reg(), v.reg()
		VMOVUPS(f.across(pScale, j), scale)
		f.read(f.data(x, j), d) // with two tensors to read readNext is slower
		f.read(f.data(dy, j), g)
		f.gradOf(d, g, f.across(mean, j), scale, f.across(shift, j))
		VMOVUPS(f.across(k1, j), c)
		VFMADD213PS(f.across(k0, j), c, d) // k0 + k1·d
		VFMSUB213PS(d, scale, g)
		f.writeNext(g, dx, j)
	})
}
