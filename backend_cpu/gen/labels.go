package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// decide makes labels: d[k][0] of the first class with the largest z or, with above, of
// the last one with z > 0.
func decide(v vec, above bool) {
	name := "firstLargest"
	if above {
		name = "lastAbove"
	}
	f := openLoss(v, name)
	z, d, labels, to, own := f.field(lZ), f.field(lD), f.field(lLabels), GP64(), GP64()
	MOVQ(labels, to)
	f.eachVector(func() {
		best, label := v.reg(), v.reg()
		if above {
			VXORPS(best, best, best)
			VXORPS(label, label, label)
		} else {
			VMOVUPS(f.here(z), best)
			VBROADCASTSS(Mem{Base: d}, label)
		}
		MOVQ(d, own)
		f.eachClass("class", z, func(at Mem) {
			x, l := v.reg(), v.reg()
			VMOVUPS(at, x)
			VBROADCASTSS(Mem{Base: own}, l)
			ADDQ(Imm(12), own)
			more := v.compare(less, x, best) // best < x
			v.choose(more, l, label)
			if !above {
				v.choose(more, x, best)
			}
		})
		VCVTPS2DQ(label, label)
		if v.zmm {
			VPMOVDB(label, Mem{Base: to})
		} else {
			VPACKUSDW(label, label, label)
			VPERMQ(Imm(0x08), label, label)
			VPACKUSWB(label.AsX(), label.AsX(), label.AsX())
			VMOVQ(label.AsX(), Mem{Base: to})
		}
		ADDQ(Imm(uint64(v.lanes())), to)
	})
}

// mix makes y = a·(1 − f) + b·f, each product rounded.
func mix(v vec) {
	var f, g reg.VecVirtual
	each(v, "mix", "y, a, b *float32, vectors int, f float32", []string{"y", "a", "b"}, []uint32{floatOne}, func() {
		f, g = v.scalar("f"), v.reg()
	}, func(p []reg.GPVirtual, c []reg.VecVirtual) {
		x, y := v.reg(), v.reg()
		VSUBPS(f, c[0], g)
		VMULPS(Mem{Base: p[1]}, g, x)
		VMULPS(Mem{Base: p[2]}, f, y)
		VADDPS(y, x, x)
		VMOVUPS(x, Mem{Base: p[0]})
	})
}

// stretch makes y = x[base + i0]·(1 − f) + x[base + i1]·f, each product rounded: base is
// one for a vector, i0 and i1 are below two vectors.
func stretch(v vec) {
	one := v.reg()
	text("stretch"+v.suffix(), "y, x *float32, base, i0, i1 *int32, f *float32, vectors int")
	constant(v, floatOne, one)
	var p []reg.GPVirtual
	for _, name := range []string{"y", "x", "base", "i0", "i1", "f"} {
		p = append(p, Load(Param(name), GP64()).(reg.GPVirtual))
	}
	n := Load(Param("vectors"), GP64())
	Label("loop")
	at := GP64()
	MOVLQSX(Mem{Base: p[2]}, at)
	ADDQ(Imm(4), p[2])
	LEAQ(Mem{Base: p[1], Index: at, Scale: 4}, at)
	x, f := [2]reg.VecVirtual{v.reg(), v.reg()}, v.reg()
	for i, index := range p[3:5] {
		of := v.reg()
		VMOVUPS(Mem{Base: index}, of)
		if v.zmm {
			VMOVUPS(Mem{Base: at}, x[i])
			VPERMT2PS(Mem{Base: at, Disp: v.bytes}, of, x[i])
			continue
		}
		high := v.reg()
		VPERMPS(Mem{Base: at}, of, x[i])
		VPERMPS(Mem{Base: at, Disp: v.bytes}, of, high)
		VPSLLD(Imm(28), of, of) // 8 and more are of the second vector
		VBLENDVPS(of, high, x[i], x[i])
	}
	VMOVUPS(Mem{Base: p[5]}, f)
	VMULPS(f, x[1], x[1])
	VSUBPS(f, one, f)
	VMULPS(f, x[0], x[0])
	VADDPS(x[1], x[0], x[0])
	VMOVUPS(x[0], Mem{Base: p[0]})
	for _, i := range []int{0, 3, 4, 5} {
		ADDQ(Imm(uint64(v.bytes)), p[i])
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
