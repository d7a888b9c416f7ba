package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// halfRow reads a vector of bf16 into the lower or the upper halves of 32 bits.
func (v vec) halfRow(at Mem, upper bool) reg.VecVirtual {
	x := v.reg()
	VPMOVZXWD(at, x)
	if upper {
		VPSLLD(Imm(16), x, x)
	}
	return x
}

// foldSingles puts three rows of f32 side by side, as channels.
func foldSingles(v vec) {
	fold("foldSingles", v, 3, false, func(d *dealer, row func(i int) Mem, _ reg.GPVirtual) []reg.VecVirtual {
		x := v.vectors(3)
		for i := range x {
			VMOVUPS(row(i), x[i])
		}
		return d.unthirds(x)
	})
}

// foldChannels puts three rows of bf16 side by side, as pairs of channels: of a voxel
// those of the first two rows, then that of the third and 0.
func foldChannels(v vec) {
	fold("foldChannels", v, 2, true, func(d *dealer, row func(i int) Mem, _ reg.GPVirtual) []reg.VecVirtual {
		x, y := v.halfRow(row(0), false), v.halfRow(row(1), true)
		VORPS(y, x, x)
		low, high := d.zip(x, v.halfRow(row(2), false))
		return []reg.VecVirtual{low, high}
	})
}

// foldVoxels puts three rows of bf16 side by side, as pairs of voxels that are next bytes
// apart.
func foldVoxels(v vec) {
	fold("foldVoxels", v, 3, true, func(d *dealer, row func(i int) Mem, next reg.GPVirtual) []reg.VecVirtual {
		x := make([]reg.VecVirtual, 3)
		for i := range x {
			at, p := row(i), GP64()
			LEAQ(at, p)
			x[i] = v.halfRow(at, false)
			y := v.halfRow(Mem{Base: p, Index: next, Scale: 1}, true)
			VORPS(y, x[i], x[i])
		}
		return d.unthirds(x)
	})
}

// fold makes a kernel that, for each of rows, reads it and the next two, step bytes apart,
// and writes k vectors for each of theirs: vectors of them, and one that begins last
// voxels after the first. Rows of dst are dstStep bytes apart, those that are read rowStep.
func fold(name string, v vec, k int, half bool, body func(d *dealer, row func(i int) Mem, next reg.GPVirtual) []reg.VecVirtual) {
	text(name+v.suffix(), "dst *float32, src unsafe.Pointer, step, next, vectors, last, rows, dstStep, rowStep int")
	p := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	bytes, shift := v.bytes, uint64(2)
	if half {
		bytes, shift = v.bytes/2, 1
	}
	toRow, fromRow, step, next, rows := p("dst"), p("src"), p("step"), p("next"), p("rows")
	d := newDealer(v, k, true)
	Label("row")
	dst, src, left := GP64(), GP64(), p("vectors")
	MOVQ(toRow, dst)
	MOVQ(fromRow, src)
	Label("vector")
	TESTQ(left, left)
	JNZ(LabelRef("whole"))
	last := p("last")
	MOVQ(last, src)
	SHLQ(Imm(shift), src)
	ADDQ(fromRow, src)
	IMUL3Q(Imm(uint64(4*k)), last, dst)
	ADDQ(toRow, dst)
	Label("whole")
	for i, x := range body(d, func(i int) Mem {
		return []Mem{{Base: src}, {Base: src, Index: step, Scale: 1}, {Base: src, Index: step, Scale: 2}}[i]
	}, next) {
		VMOVUPS(x, Mem{Base: dst, Disp: i * v.bytes})
	}
	ADDQ(U32(uint32(k*v.bytes)), dst)
	ADDQ(Imm(uint64(bytes)), src)
	DECQ(left)
	JGE(LabelRef("vector"))
	ADDQ(p("dstStep"), toRow)
	ADDQ(p("rowStep"), fromRow)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}
