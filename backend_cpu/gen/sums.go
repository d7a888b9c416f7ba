package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sumAhead is bytes that outerSum, the first to see b, prefetches.
const sumAhead = 8192

// outerSum is an outer that sums b too: additions have ports of their own, where a sum
// alone waits for memory.
func outerSum(v vec, mr, nv int) {
	advance := func(*frame) Op { return Imm(uint64(4 * mr)) }
	tiles("outerSum", v, 1, mr, nv, advance, func(f *frame, a, b reg.GPVirtual) {
		aStep, bStep, k := f.field(tAStep), f.field(tBStep), f.field(tK)
		var ones reg.VecVirtual
		if v.pairs {
			ones = v.reg()
			constant(v, 0x3f803f80, ones)
		}
		steps(k, 2, func(n int) {
			for range n {
				for j := 0; j < nv*v.bytes && !v.pairs; j += 64 { // pairs are copies, in the cache
					PREFETCHT0(Mem{Base: b, Disp: sumAhead + j})
				}
				bv := f.multiply(func(j int) Mem { return Mem{Base: b, Disp: j * v.bytes} },
					func(i int) Mem { return Mem{Base: a, Disp: 4 * i} })
				for j, x := range bv {
					if v.pairs {
						v.multiplyAdd(x, ones, f.total[j])
					} else {
						VADDPS(x, f.total[j], f.total[j])
					}
				}
				ADDQ(aStep, a)
				ADDQ(bStep, b)
			}
		})
	})
}

// sum makes the kernel that sums rows:
//
//	c[j] = init[j] or c[j], + sum over segments, k: b[k*bStep + j]
//
// Of pairs it sums both: their products with ones.
func sum(v vec, nv int) {
	text(sumName(v, nv), "t *tile")
	f := &frame{v: v, args: Load(Param("t"), GP64()).(reg.GPVirtual)}
	const ways = 4 // sums side by side: an addition takes some cycles
	acc := make([][]reg.VecVirtual, ways)
	for i := range acc {
		for range nv {
			a := v.reg()
			constant(v, 0, a)
			acc[i] = append(acc[i], a)
		}
	}
	ones := v.reg()
	if v.pairs {
		constant(v, 0x3f803f80, ones)
	}
	c, init := f.field(tC), f.field(tInit)
	TESTQ(init, init)
	CMOVQEQ(c, init)
	for j, a := range acc[0] {
		VMOVUPS(Mem{Base: init, Disp: j * v.bytes}, a)
	}
	seg, n, step := f.field(tSeg), f.field(tN), f.field(tBStep)
	Label("segment")
	b, k := GP64(), f.field(tK)
	MOVQ(Mem{Base: seg, Disp: 8}, b)
	ADDQ(Imm(16), seg)
	steps(k, ways, func(n int) {
		for i := range n {
			for j, a := range acc[i] {
				if v.pairs {
					x := v.reg()
					VMOVUPS(Mem{Base: b, Disp: j * v.bytes}, x)
					v.multiplyAdd(x, ones, a)
				} else {
					VADDPS(Mem{Base: b, Disp: j * v.bytes}, a, a)
				}
			}
			ADDQ(step, b)
		}
	})
	DECQ(n)
	JNZ(LabelRef("segment"))
	for j := range nv {
		VADDPS(acc[1][j], acc[0][j], acc[0][j])
		VADDPS(acc[3][j], acc[2][j], acc[2][j])
		VADDPS(acc[2][j], acc[0][j], acc[0][j])
		VMOVUPS(acc[0][j], Mem{Base: c, Disp: j * v.bytes})
	}
	VZEROUPPER()
	RET()
}

func sumName(v vec, nv int) string { return fmt.Sprintf("sum_%s_%d", v.name, nv*v.lanes()) }
