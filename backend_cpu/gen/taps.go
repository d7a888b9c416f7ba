package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A tile that is one vector wide waits for its loads: one a multiply-add and
// more, where a core does two of each a cycle. With three taps along W and
// stride 1 each value of the input serves three of them; that is what the
// kernels for three taps use.

// gather3 is a gather over three taps t along W:
//
//	c[i][j] += sum over segments, t, k: a[(i+t)*aStep + k] * b[t*bStep + k][j]
func gather3(v vec, mr int) {
	advance := func(f *frame) Op { return f.times(mr, tAStep) }
	tiles("gather3", v, 1, mr, 1, advance, func(f *frame, a, b reg.GPVirtual) {
		at, bStep, k := newVoxels(a, f.field(tAStep), mr+2), f.field(tBStep), f.field(tK)
		steps(k, 2, func(n int) {
			for s := range n {
				w := [3]reg.VecVirtual{v.reg(), v.reg(), v.reg()}
				VMOVUPS(Mem{Base: b, Disp: s * v.bytes}, w[0])
				VMOVUPS(Mem{Base: b, Index: bStep, Scale: 1, Disp: s * v.bytes}, w[1])
				VMOVUPS(Mem{Base: b, Index: bStep, Scale: 2, Disp: s * v.bytes}, w[2])
				for i := range mr + 2 {
					x := v.reg()
					VBROADCASTSS(at.at(i, 4*s), x)
					for t := range w {
						if i-t >= 0 && i-t < mr {
							VFMADD231PS(x, w[t], f.acc[i-t][0])
						}
					}
				}
			}
			at.advance(4 * n)
			ADDQ(U32(uint32(n*v.bytes)), b)
		})
	})
}

// outer3 is an outer over three taps t along W:
//
//	c[t*cRun + i][j] += sum over segments, k: a[(k+t)*aStep + i] * b[k*bStep + j]
//
// for mr inputs i and at least 2 voxels k.
func outer3(v vec, mr int) {
	advance := func(*frame) Op { return Imm(uint64(4 * mr)) }
	tiles("outer3", v, 3, mr, 1, advance, func(f *frame, a, b reg.GPVirtual) {
		aStep, bStep, k := f.field(tAStep), f.field(tBStep), f.field(tK)
		y := [3]reg.VecVirtual{v.reg(), v.reg(), v.reg()} // voxels u, u-1, u-2 of b lie at u, u+1, u+2 mod 3
		// step multiplies voxel u of a: with the voxels u-t of b for taps from … to.
		step := func(u, from, to int) {
			if from == 0 {
				VMOVUPS(Mem{Base: b}, y[u%3])
				ADDQ(bStep, b)
			}
			for i := range mr {
				x := v.reg()
				VBROADCASTSS(Mem{Base: a, Disp: 4 * i}, x)
				for t := from; t <= to; t++ {
					VFMADD231PS(x, y[(u+3-t)%3], f.acc[t*mr+i][0])
				}
			}
			ADDQ(aStep, a)
		}
		step(0, 0, 0)
		step(1, 0, 1)
		SUBQ(Imm(2), k)
		JZ(LabelRef("end2"))
		Label("voxels")
		step(2, 0, 2)
		DECQ(k)
		JZ(LabelRef("end0"))
		step(3, 0, 2)
		DECQ(k)
		JZ(LabelRef("end1"))
		step(4, 0, 2)
		DECQ(k)
		JNZ(LabelRef("voxels"))
		for u := 2; u < 5; u++ { // the first voxel behind b, mod 3
			Label(fmt.Sprintf("end%d", u%3))
			step(u, 1, 2)
			step(u+1, 2, 2)
			if u < 4 {
				JMP(LabelRef("next"))
			}
		}
		Label("next")
	})
}
