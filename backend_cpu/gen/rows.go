package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// splitAhead is bytes that split prefetches: it is the first to see them.
const splitAhead = 4096

// split makes rows of one class each of k classes side by side:
//
//	dst[j*step + i] = src[i*k + j]
//
// k is 2, 3 or 4, step is bytes.
func split(v vec, k int) {
	deal("split", v, k, func(d *dealer, dst, src func(i int) Mem) {
		x := make([]reg.VecVirtual, k)
		for i := range x {
			x[i] = v.reg()
			m := src(i)
			VMOVUPS(m, x[i])
			PREFETCHT0(m.Offset(splitAhead))
		}
		switch k {
		case 2:
			x[0], x[1] = d.evens(x[0], x[1])
		case 3:
			x = d.thirds(x)
		case 4:
			e, o := d.evens(x[0], x[1])
			e2, o2 := d.evens(x[2], x[3])
			x[0], x[2] = d.evens(e, e2)
			x[1], x[3] = d.evens(o, o2)
		}
		for j, r := range x {
			VMOVUPS(r, dst(j))
		}
	})
}

// join is the way back: dst[i*k + j] = src[j*step + i].
func join(v vec, k int) {
	deal("join", v, k, func(d *dealer, src, dst func(i int) Mem) {
		x := make([]reg.VecVirtual, k)
		for j := range x {
			x[j] = v.reg()
			VMOVUPS(src(j), x[j])
		}
		switch k {
		case 2:
			x[0], x[1] = d.zip(x[0], x[1])
		case 3:
			x = d.unthirds(x)
		case 4:
			e, e2 := d.zip(x[0], x[2])
			o, o2 := d.zip(x[1], x[3])
			x[0], x[1] = d.zip(e, o)
			x[2], x[3] = d.zip(e2, o2)
		}
		for i, r := range x {
			VMOVUPS(r, dst(i))
		}
	})
}

// dealer is the constants of a kernel that deals classes out.
type dealer struct {
	v     vec
	even  [2]reg.VecVirtual // of evens, with AVX-512
	both  [2]reg.VecVirtual // of zip, with AVX-512
	third [3]reg.VecVirtual // of thirds or unthirds
	of3   [3]reg.OpmaskVirtual
}

// deal makes a kernel; row(j) is the current vector of class j, block(i) vector i of
// the classes side by side.
func deal(name string, v vec, k int, body func(d *dealer, row, block func(i int) Mem)) {
	text(fmt.Sprintf("%s%d%s", name, k, v.suffix()), "dst, src *float32, step, vectors int")
	row, block := Load(Param("dst"), GP64()).(reg.GPVirtual), Load(Param("src"), GP64()).(reg.GPVirtual)
	if name == "join" {
		row, block = block, row
	}
	step, n := Load(Param("step"), GP64()).(reg.GPVirtual), Load(Param("vectors"), GP64())
	row3 := GP64()
	LEAQ(Mem{Base: step, Index: step, Scale: 2}, row3)
	ADDQ(row, row3)
	d := newDealer(v, k, name == "join")
	Label("loop")
	body(d, func(j int) Mem {
		if j == 3 {
			return Mem{Base: row3}
		}
		return []Mem{{Base: row}, {Base: row, Index: step, Scale: 1}, {Base: row, Index: step, Scale: 2}}[j]
	}, func(i int) Mem { return Mem{Base: block, Disp: i * v.bytes} })
	ADDQ(Imm(uint64(v.bytes)), row)
	ADDQ(Imm(uint64(v.bytes)), row3)
	ADDQ(U32(uint32(k*v.bytes)), block)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func newDealer(v vec, k int, join bool) *dealer {
	d := &dealer{v: v}
	n := v.lanes()
	switch {
	case k == 3:
		for j := range d.third {
			d.third[j] = v.reg()
			v.lanesOf(d.third[j], func(i int) int {
				if !join {
					return (3*i + j) % n
				}
				for from := range n {
					if (3*from+j)%n == i {
						return from
					}
				}
				panic("3 and the lanes have no common divisor")
			})
			if v.zmm {
				g := GP32()
				d.of3[j] = K()
				MOVL(U32(d.thirdBits(j)), g)
				KMOVW(g, d.of3[j])
			}
		}
	case v.zmm && join:
		for half := range d.both {
			d.both[half] = v.reg()
			v.lanesOf(d.both[half], func(i int) int { return i/2 + half*n/2 + i%2*n })
		}
	case v.zmm:
		for odd := range d.even {
			d.even[odd] = v.reg()
			v.lanesOf(d.even[odd], func(i int) int { return 2*i + odd })
		}
	}
	return d
}

// evens takes the even and the odd elements of x, followed by y.
func (d *dealer) evens(x, y reg.VecVirtual) (even, odd reg.VecVirtual) {
	even, odd = d.v.reg(), d.v.reg()
	if d.v.zmm {
		VMOVAPS(x, even)
		VPERMT2PS(y, d.even[0], even)
		VMOVAPS(x, odd)
		VPERMT2PS(y, d.even[1], odd)
		return even, odd
	}
	VSHUFPS(Imm(0x88), y, x, even) // within 128 bits; then their parts in order
	VPERMPD(Imm(0xd8), even, even)
	VSHUFPS(Imm(0xdd), y, x, odd)
	VPERMPD(Imm(0xd8), odd, odd)
	return even, odd
}

// zip makes of x and y elements in turns: low, followed by high.
func (d *dealer) zip(x, y reg.VecVirtual) (low, high reg.VecVirtual) {
	low, high = d.v.reg(), d.v.reg()
	if d.v.zmm {
		VMOVAPS(x, low)
		VPERMT2PS(y, d.both[0], low)
		VMOVAPS(x, high)
		VPERMT2PS(y, d.both[1], high)
		return low, high
	}
	a, b := d.v.reg(), d.v.reg()
	VPERMPD(Imm(0xd8), x, a)
	VPERMPD(Imm(0xd8), y, b)
	VUNPCKLPS(b, a, low)
	VUNPCKHPS(b, a, high)
	return low, high
}

// thirdBits are the lanes i with i mod 3 = r.
func (d *dealer) thirdBits(r int) (bits uint32) {
	for i := r; i < d.v.lanes(); i += 3 {
		bits |= 1 << i
	}
	return bits
}

// merge makes to = x in the lanes of vector i of three that belong to class j.
func (d *dealer) merge(i, j int, x, to reg.VecVirtual) {
	r := (j + 2*i*d.v.lanes()) % 3 // −1 is 2
	if d.v.zmm {
		VMOVAPS(x, d.of3[r], to)
		return
	}
	VBLENDPS(Imm(uint64(d.thirdBits(r))), x, to, to)
}

// thirds takes each third element: no two of those of one class lie in the same lane
// of three vectors, so that one permutation puts them in order.
func (d *dealer) thirds(x []reg.VecVirtual) []reg.VecVirtual {
	y := d.v.vectors(3)
	for j := range y {
		VMOVAPS(x[0], y[j])
		d.merge(1, j, x[1], y[j])
		d.merge(2, j, x[2], y[j])
		VPERMPS(y[j], d.third[j], y[j])
	}
	return y
}

// unthirds is the way back.
func (d *dealer) unthirds(x []reg.VecVirtual) []reg.VecVirtual {
	for j := range x {
		VPERMPS(x[j], d.third[j], x[j])
	}
	y := d.v.vectors(3)
	for i := range y {
		VMOVAPS(x[0], y[i])
		d.merge(i, 1, x[1], y[i])
		d.merge(i, 2, x[2], y[i])
	}
	return y
}
