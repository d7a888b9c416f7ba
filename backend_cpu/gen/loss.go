package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of cpu.lossRows.
const (
	lZ = 8 * iota
	lP
	lClass
	lTop
	lTotal
	lCE
	lSums
	lD
	lK
	lStep
	lVectors
	lLabels
)

// losses makes the kernels of cpu.flat that the loss needs.
func losses(v vec) {
	table := exponentialTable(v)
	expSub(v, table)
	logs(v)
	choose(v)
	for k := 2; k <= 4; k++ {
		split(v, k)
		join(v, k)
	}
	classes(v)
	softmax(v, table)
	for k := 2; k <= 4; k++ {
		softmaxOf(v, k, table)
	}
	hard(v)
	decide(v, false)
	decide(v, true)
	mix(v)
	stretch(v)
	classSums(v)
	softSums(v)
	pick(v)
	classGrad(v)
	sigmoid(v, table)
	regionSums(v)
	binary(v)
	sigmoidGrad(v)
}

// lossFrame is the registers of a kernel over a cpu.lossRows: at is the offset of
// the current vector in all rows.
type lossFrame struct {
	v                 vec
	r                 reg.GPVirtual
	at, row, k, count reg.GPVirtual
	class             reg.VecVirtual // the number of the current class
	one               reg.VecVirtual
}

func openLoss(v vec, name string) *lossFrame {
	text(name+v.suffix(), "r *lossRows")
	f := &lossFrame{v: v, r: Load(Param("r"), GP64()).(reg.GPVirtual), at: GP64(), row: GP64(), k: GP64(), count: GP64()}
	f.class, f.one = v.reg(), v.reg()
	constant(v, 0x3f800000, f.one)
	XORQ(f.at, f.at)
	return f
}

func (f *lossFrame) field(off int) reg.GPVirtual {
	p := GP64()
	MOVQ(Mem{Base: f.r, Disp: off}, p)
	return p
}

// eachVector runs body for all vectors of rows.
func (f *lossFrame) eachVector(body func()) {
	MOVQ(Mem{Base: f.r, Disp: lVectors}, f.count)
	Label("vector")
	body()
	ADDQ(Imm(uint64(f.v.bytes)), f.at)
	DECQ(f.count)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

// eachClass runs body for all classes of the current vector, whose rows begin at
// p: m is the vector of each.
func (f *lossFrame) eachClass(label string, p reg.GPVirtual, body func(m Mem)) {
	MOVQ(p, f.row)
	ADDQ(f.at, f.row)
	MOVQ(Mem{Base: f.r, Disp: lK}, f.k)
	VXORPS(f.class, f.class, f.class)
	Label(label)
	body(Mem{Base: f.row})
	VADDPS(f.one, f.class, f.class)
	ADDQ(Mem{Base: f.r, Disp: lStep}, f.row)
	DECQ(f.k)
	JNZ(LabelRef(label))
}

// here is the current vector of the row at p.
func (f *lossFrame) here(p reg.GPVirtual) Mem { return Mem{Base: p, Index: f.at, Scale: 1} }

// softmax makes p, the largest logits and Σ exp(z − top).
func softmax(v vec, table Mem) {
	f := openLoss(v, "softmax")
	z, p, top, total := f.field(lZ), f.field(lP), f.field(lTop), f.field(lTotal)
	e := newExponential(v, table)
	f.eachVector(func() {
		m, sum, share := v.reg(), v.reg(), v.reg()
		VMOVUPS(f.here(z), m)
		f.eachClass("largest", z, func(at Mem) { VMAXPS(at, m, m) })
		VMOVUPS(m, f.here(top))
		VXORPS(sum, sum, sum)
		to := GP64()
		MOVQ(p, to)
		ADDQ(f.at, to)
		f.eachClass("exponential", z, func(at Mem) {
			x := v.reg()
			VMOVUPS(at, x)
			VSUBPS(m, x, x)
			y := e.of(x)
			VADDPS(y, sum, sum)
			VMOVUPS(y, Mem{Base: to})
			ADDQ(Mem{Base: f.r, Disp: lStep}, to)
		})
		VMOVUPS(sum, f.here(total))
		VDIVPS(sum, f.one, share)
		f.eachClass("share", p, func(at Mem) {
			x := v.reg()
			VMULPS(at, share, x)
			VMOVUPS(x, at)
		})
	})
}

// softmaxOf is softmax for k classes, which stay in registers.
func softmaxOf(v vec, k int, table Mem) {
	f := openLoss(v, fmt.Sprintf("softmax%d", k))
	z, p, top, total, step := f.field(lZ), f.field(lP), f.field(lTop), f.field(lTotal), f.field(lStep)
	e := newExponential(v, table)
	at := func(p reg.GPVirtual) func(j int) Mem { // row j at the current vector
		r := []reg.GPVirtual{GP64(), GP64()}
		LEAQ(f.here(p), r[0])
		LEAQ(Mem{Base: r[0], Index: step, Scale: 2}, r[1])
		return func(j int) Mem {
			m := Mem{Base: r[j/2]}
			if j%2 == 1 {
				m.Index, m.Scale = step, 1
			}
			return m
		}
	}
	f.eachVector(func() {
		m, sum, share := v.reg(), v.reg(), v.reg()
		x, row := v.vectors(k), at(z)
		for j := range x {
			VMOVUPS(row(j), x[j])
		}
		VMAXPS(x[1], x[0], m)
		for _, y := range x[2:] {
			VMAXPS(y, m, m)
		}
		VMOVUPS(m, f.here(top))
		for j := range x {
			VSUBPS(m, x[j], x[j])
			x[j] = e.of(x[j])
		}
		VADDPS(x[1], x[0], sum)
		for _, y := range x[2:] {
			VADDPS(y, sum, sum)
		}
		VMOVUPS(sum, f.here(total))
		VDIVPS(sum, f.one, share)
		row = at(p)
		for j := range x {
			VMULPS(share, x[j], x[j])
			VMOVUPS(x[j], row(j))
		}
	})
}

// hard makes p: 1 for the first of the largest logits.
func hard(v vec) {
	f := openLoss(v, "hard")
	z, p := f.field(lZ), f.field(lP)
	f.eachVector(func() {
		best, of := v.reg(), v.reg()
		VMOVUPS(f.here(z), best)
		VXORPS(of, of, of)
		f.eachClass("largest", z, func(at Mem) {
			x := v.reg()
			VMOVUPS(at, x)
			v.choose(v.compare(less, x, best), f.class, of) // best < x
			VMAXPS(x, best, best)
		})
		f.eachClass("share", p, func(at Mem) {
			x := v.reg()
			v.where(v.compare(equal, f.class, of), f.one, x)
			VMOVUPS(x, at)
		})
	})
}

// eachSum makes a kernel that goes through all vectors of a class before the next:
// n sums [K n lanes] are added to.
func eachSum(v vec, name string, n int, body func(f *lossFrame, k Mem, acc []reg.VecVirtual)) {
	f := openLoss(v, name)
	p, sums, step := GP64(), f.field(lSums), f.field(lStep)
	MOVQ(f.field(lZ), f.row)
	MOVQ(f.field(lP), p)
	MOVQ(Mem{Base: f.r, Disp: lK}, f.k)
	VXORPS(f.class, f.class, f.class)
	acc := v.vectors(n)
	Label("class")
	for i, a := range acc {
		VMOVUPS(Mem{Base: sums, Disp: i * v.bytes}, a)
	}
	XORQ(f.at, f.at)
	MOVQ(Mem{Base: f.r, Disp: lVectors}, f.count)
	Label("vector")
	body(f, f.here(p), acc)
	ADDQ(Imm(uint64(v.bytes)), f.at)
	DECQ(f.count)
	JNZ(LabelRef("vector"))
	for i, a := range acc {
		VMOVUPS(a, Mem{Base: sums, Disp: i * v.bytes})
	}
	ADDQ(U32(uint32(n*v.bytes)), sums)
	ADDQ(step, p)
	ADDQ(step, f.row)
	VADDPS(f.one, f.class, f.class)
	DECQ(f.k)
	JNZ(LabelRef("class"))
	VZEROUPPER()
	RET()
}

// classSums adds Σ p·t, Σ p and Σ t of the voxels that count, t = class is k.
func classSums(v vec) {
	eachSum(v, "classSums", 3, func(f *lossFrame, k Mem, acc []reg.VecVirtual) { f.overlap(k, acc) })
}

func (f *lossFrame) overlap(k Mem, acc []reg.VecVirtual) (t mask) {
	v := f.v
	class, zero, x, c := f.field(lClass), v.reg(), v.reg(), v.reg()
	VXORPS(zero, zero, zero)
	VMOVUPS(k, x)
	VMOVUPS(f.here(class), c)
	t = v.compare(equal, f.class, c)
	v.addWhere(t, x, acc[0])
	v.addWhere(v.compare(lessEqual, c, zero), x, acc[1]) // 0 ≤ class
	v.addWhere(t, f.one, acc[2])
	return t
}

// softSums is classSums, and adds Σ t·(total + (top − z)); total is a logarithm.
func softSums(v vec) {
	eachSum(v, "softSums", 4, func(f *lossFrame, k Mem, acc []reg.VecVirtual) {
		top, total, x := f.field(lTop), f.field(lTotal), v.reg()
		t := f.overlap(k, acc)
		VMOVUPS(f.here(top), x)
		VSUBPS(f.here(f.row), x, x)
		VADDPS(f.here(total), x, x)
		v.addWhere(t, x, acc[3])
	})
}

// pick makes ce = d[class][2], 0 without a class.
func pick(v vec) {
	f := openLoss(v, "pick")
	class, ce, d, of := f.field(lClass), f.field(lCE), f.field(lD), GP64()
	f.eachVector(func() {
		c, x := v.reg(), v.reg()
		VMOVUPS(f.here(class), c)
		VXORPS(x, x, x)
		MOVQ(d, of)
		f.eachClass("class", d, func(Mem) {
			own := v.reg()
			VBROADCASTSS(Mem{Base: of, Disp: 8}, own)
			v.choose(v.compare(equal, f.class, c), own, x)
			ADDQ(Imm(12), of)
		})
		VMOVUPS(x, f.here(ce))
	})
}

// classGrad makes z the gradient: with a = d[k][0], and + d[k][1] where the class is k,
//
//	z = p·(a − Σ a·p) + ce·(p − [class is k]), 0 without a class
func classGrad(v vec) {
	f := openLoss(v, "classGrad")
	z, p, class, ce, d := f.field(lZ), f.field(lP), f.field(lClass), f.field(lCE), f.field(lD)
	of, to := GP64(), GP64()
	weigh := func(c reg.VecVirtual) (a reg.VecVirtual, t mask) {
		own := v.reg()
		a = v.reg()
		VBROADCASTSS(Mem{Base: of}, a)
		VBROADCASTSS(Mem{Base: of, Disp: 4}, own)
		t = v.compare(equal, f.class, c)
		v.addWhere(t, own, a)
		ADDQ(Imm(12), of)
		return a, t
	}
	f.eachVector(func() {
		c, mean, b, zero := v.reg(), v.reg(), v.reg(), v.reg()
		VMOVUPS(f.here(class), c)
		VMOVUPS(f.here(ce), b)
		VXORPS(mean, mean, mean)
		MOVQ(d, of)
		f.eachClass("mean", p, func(at Mem) {
			a, _ := weigh(c)
			VFMADD231PS(at, a, mean)
		})
		VXORPS(zero, zero, zero)
		counts := v.compare(lessEqual, c, zero)
		MOVQ(d, of)
		MOVQ(z, to)
		ADDQ(f.at, to)
		f.eachClass("gradient", p, func(at Mem) {
			x, own := v.reg(), v.reg()
			a, t := weigh(c)
			VMOVUPS(at, x)
			VSUBPS(mean, a, a)
			v.where(t, f.one, own)
			VSUBPS(own, x, own)
			VMULPS(b, own, own)
			VFMADD231PS(a, x, own)
			v.where(counts, own, own)
			VMOVUPS(own, Mem{Base: to})
			ADDQ(Mem{Base: f.r, Disp: lStep}, to)
		})
	})
}
