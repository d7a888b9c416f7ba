package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// suffix ends the names of the kernels of cpu.flat.
func (v vec) suffix() string {
	if v.zmm {
		return "AVX512"
	}
	return "AVX2"
}

// vectors are n registers.
func (v vec) vectors(n int) []reg.VecVirtual {
	r := make([]reg.VecVirtual, n)
	for i := range r {
		r[i] = v.reg()
	}
	return r
}

// constants fills registers with 32 bits each.
func (v vec) constants(bits []uint32) (c []reg.VecVirtual, setup func()) {
	c = v.vectors(len(bits))
	return c, func() {
		for i, b := range bits {
			constant(v, b, c[i])
		}
	}
}

// lanesOf fills the lanes of r with numbers below 256.
func (v vec) lanesOf(r reg.VecVirtual, lane func(i int) int) {
	var words [2]uint64
	for i := range v.lanes() {
		words[i/8] |= uint64(lane(i)) << (8 * (i % 8))
	}
	g, x := GP64(), XMM()
	MOVQ(Imm(words[0]), g)
	VMOVQ(g, x)
	if v.zmm {
		MOVQ(Imm(words[1]), g)
		VPINSRQ(Imm(1), g, x, x)
	}
	VPMOVZXBD(x, r)
}

// mask says for each lane whether something holds.
type mask struct {
	k reg.OpmaskVirtual
	y reg.VecVirtual
}

// compare is b p a.
func (v vec) compare(p uint64, a Op, b reg.VecVirtual) mask {
	if v.zmm {
		m := mask{k: K()}
		VCMPPS(Imm(p), a, b, m.k)
		return m
	}
	m := mask{y: v.reg()}
	VCMPPS(Imm(p), a, b, m.y)
	return m
}

// addWhere adds x to acc where m holds.
func (v vec) addWhere(m mask, x, acc reg.VecVirtual) {
	if v.zmm {
		VADDPS(x, acc, m.k, acc)
		return
	}
	t := v.reg()
	VANDPS(x, m.y, t)
	VADDPS(t, acc, acc)
}

// where makes to = x where m holds, else 0.
func (v vec) where(m mask, x, to reg.VecVirtual) {
	if v.zmm {
		VMOVAPS_Z(x, m.k, to)
		return
	}
	VANDPS(x, m.y, to)
}

// choose makes to = x where m holds.
func (v vec) choose(m mask, x, to reg.VecVirtual) {
	if v.zmm {
		VMOVAPS(x, m.k, to)
		return
	}
	VBLENDVPS(m.y, x, to, to)
}

// scaleWhere makes x *= by where m holds.
func (v vec) scaleWhere(m mask, by, x reg.VecVirtual) {
	if v.zmm {
		VMULPS(by, x, m.k, x)
		return
	}
	t := v.reg()
	VMULPS(by, x, t)
	VBLENDVPS(m.y, t, x, x)
}
