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

// foldChannels puts three rows of bf16 side by side, as pairs of channels: of a voxel
// those of the first two rows, then that of the third and 0.
func foldChannels(v vec) {
	fold("foldChannels", v, 2, func(d *dealer, row func(i int) Mem, _ reg.GPVirtual) []reg.VecVirtual {
		x, y := v.halfRow(row(0), false), v.halfRow(row(1), true)
		VORPS(y, x, x)
		low, high := d.zip(x, v.halfRow(row(2), false))
		return []reg.VecVirtual{low, high}
	})
}

// foldVoxels puts three rows of bf16 side by side, as pairs of voxels that are next bytes
// apart.
func foldVoxels(v vec) {
	fold("foldVoxels", v, 3, func(d *dealer, row func(i int) Mem, next reg.GPVirtual) []reg.VecVirtual {
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

// fold makes a kernel that reads three rows, step bytes apart, and writes k vectors for
// each of theirs.
func fold(name string, v vec, k int, body func(d *dealer, row func(i int) Mem, next reg.GPVirtual) []reg.VecVirtual) {
	text(name+v.suffix(), "dst *float32, src unsafe.Pointer, step, next, vectors int")
	p := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	dst, src, step, next, n := p("dst"), p("src"), p("step"), p("next"), p("vectors")
	d := newDealer(v, k, true)
	Label("loop")
	for i, x := range body(d, func(i int) Mem {
		return []Mem{{Base: src}, {Base: src, Index: step, Scale: 1}, {Base: src, Index: step, Scale: 2}}[i]
	}, next) {
		VMOVUPS(x, Mem{Base: dst, Disp: i * v.bytes})
	}
	ADDQ(U32(uint32(k*v.bytes)), dst)
	ADDQ(Imm(uint64(v.bytes/2)), src)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
