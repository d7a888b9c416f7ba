package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// heads makes the kernels of pointwise convolutions to co channels, see cpu.headKernels.
// A strip is two vectors of channels: of f32 the first and the second, of bf16, which lie
// in the two halves of 32 bits, those with an even and an odd number.
func heads(v vec, co int) {
	for _, half := range []bool{false, true} {
		if v.zmm {
			dotTree(v, co, half)
		} else {
			dot(v, co, half)
		}
		headGrad(v, co, half)
	}
	spread(v, co)
}

// headName is the name of a kernel of heads.
func headName(kind string, v vec, co int, half bool) string {
	if half {
		return fmt.Sprintf("%s%dHalf%s", kind, co, v.suffix())
	}
	return fmt.Sprintf("%s%d%s", kind, co, v.suffix())
}

// channels reads a strip.
func (v vec) channels(at Mem, half bool, odd reg.VecVirtual) [2]reg.VecVirtual {
	x := [2]reg.VecVirtual{v.reg(), v.reg()}
	VMOVUPS(at, x[0])
	if half {
		VANDPS(odd, x[0], x[1])
		VPSLLD(Imm(16), x[0], x[0])
	} else {
		VMOVUPS(at.Offset(v.bytes), x[1])
	}
	return x
}

// oddMask keeps the odd channels of bf16.
func (v vec) oddMask() reg.VecVirtual {
	r := v.reg()
	constant(v, 0xffff0000, r)
	return r
}

// stripBytes of a voxel.
func (v vec) stripBytes(half bool) int {
	if half {
		return v.bytes
	}
	return 2 * v.bytes
}

// dotFrame is the parameters of a kernel that makes dots: x and its row are bytes.
type dotFrame struct{ y, x, w, b, row, weights, steps reg.GPVirtual }

func openDot(v vec, co int, half bool) dotFrame {
	text(headName("dot", v, co, half), "y *float32, x unsafe.Pointer, w, b *float32, ci, steps int")
	p := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	f := dotFrame{y: p("y"), x: p("x"), w: p("w"), b: p("b"), row: p("ci"), steps: p("steps"), weights: GP64()}
	MOVQ(f.row, f.weights)
	SHLQ(Imm(2), f.weights)
	SHLQ(Imm(map[bool]uint64{false: 2, true: 1}[half]), f.row)
	return f
}

// dotStep is the voxels that dot makes at a time. Their sums fill the registers, and
// enough of them wait for each other's multiply-adds.
func dotStep(co int) int { return []int{1: 8, 2: 4, 3: 4, 4: 2}[co] }

// dot makes dotStep voxels of co sums over ci channels, of x [voxels ci] by w [co ci],
// strip by strip.
func dot(v vec, co int, half bool) {
	f, step := openDot(v, co, half), dotStep(co)
	var odd reg.VecVirtual
	if half {
		odd = v.oddMask()
	}
	row3 := GP64()
	LEAQ(Mem{Base: f.row, Index: f.row, Scale: 2}, row3)
	at := func(p, p4 reg.GPVirtual, i int) Mem { // row i of p, p4 four rows on
		if i >= 4 {
			p, i = p4, i-4
		}
		return []Mem{{Base: p}, {Base: p, Index: f.row, Scale: 1}, {Base: p, Index: f.row, Scale: 2}, {Base: p, Index: row3, Scale: 1}}[i]
	}
	Label("step")
	acc := v.vectors(step * co)
	for _, a := range acc {
		VXORPS(a, a, a)
	}
	p, p4, n := GP64(), GP64(), GP64()
	MOVQ(f.x, p)
	LEAQ(Mem{Base: f.x, Index: f.row, Scale: 4}, p4)
	MOVQ(f.weights, n)
	q := GP64()
	MOVQ(f.w, q)
	Label("channels")
	for i := range step {
		m := at(p, p4, i)
		m.Disp += dotAhead
		PREFETCHT0(m)
		m.Disp -= dotAhead
		x := v.channels(m, half, odd)
		of := q
		for j := range co {
			VFMADD231PS(Mem{Base: of}, x[0], acc[i*co+j])
			VFMADD231PS(Mem{Base: of, Disp: v.bytes}, x[1], acc[i*co+j])
			if j+1 < co {
				next := GP64()
				LEAQ(Mem{Base: of, Index: f.weights, Scale: 1}, next)
				of = next
			}
		}
	}
	for _, r := range []reg.GPVirtual{p, p4} {
		ADDQ(U32(uint32(v.stripBytes(half))), r)
	}
	ADDQ(Imm(uint64(2*v.bytes)), q)
	SUBQ(Imm(uint64(2*v.bytes)), n)
	JNZ(LabelRef("channels"))
	for i := 0; i < len(acc); i += 4 { // four sums at a time
		VHADDPS(acc[i+1], acc[i], acc[i])
		VHADDPS(acc[i+3], acc[i+2], acc[i+2])
		VHADDPS(acc[i+2], acc[i], acc[i])
		high := XMM()
		VEXTRACTF128(Imm(1), acc[i], high)
		low := acc[i].AsX()
		VADDPS(high, low, low)
		VADDPS(Mem{Base: f.b, Disp: 4 * i}, low, low)
		VMOVUPS(low, Mem{Base: f.y, Disp: 4 * i})
	}
	ADDQ(Imm(uint64(4*step*co)), f.y)
	for range step {
		ADDQ(f.row, f.x)
	}
	DECQ(f.steps)
	JNZ(LabelRef("step"))
	VZEROUPPER()
	RET()
}

// dotAhead is bytes that dots prefetch.
const dotAhead = 4096

// dotTree is dot for 16 voxels at a time: as many sums as a vector has lanes are made
// side by side and added up by a tree that leaves them in order.
func dotTree(v vec, co int, half bool) {
	f := openDot(v, co, half)
	var odd reg.VecVirtual
	if half {
		odd = v.oddMask()
	}
	Label("step")
	for group := range co {
		acc := v.vectors(16)
		for _, a := range acc {
			VXORPS(a, a, a)
		}
		p, q, n := GP64(), GP64(), GP64()
		MOVQ(f.x, p)
		MOVQ(f.w, q)
		MOVQ(f.weights, n)
		label := fmt.Sprintf("channels%d", group)
		Label(label)
		at, weights := GP64(), make([]Mem, co)
		MOVQ(p, at)
		of := q
		for j := range co {
			weights[j] = Mem{Base: of}
			if j+1 < co {
				next := GP64()
				LEAQ(Mem{Base: of, Index: f.weights, Scale: 1}, next)
				of = next
			}
		}
		var x [2]reg.VecVirtual
		for s := range 16 {
			j := (group*16 + s) % co
			if s == 0 || j == 0 {
				if s > 0 {
					ADDQ(f.row, at)
				}
				if j == 0 {
					for line := 0; line < v.stripBytes(half); line += 64 {
						PREFETCHT0(Mem{Base: at, Disp: dotAhead + line})
					}
				}
				x = v.channels(Mem{Base: at}, half, odd)
			}
			VFMADD231PS(weights[j], x[0], acc[s])
			VFMADD231PS(weights[j].Offset(v.bytes), x[1], acc[s])
		}
		ADDQ(U32(uint32(v.stripBytes(half))), p)
		ADDQ(U32(uint32(2*v.bytes)), q)
		SUBQ(U32(uint32(2*v.bytes)), n)
		JNZ(LabelRef(label))
		sum := addTree(v, acc)
		VADDPS(Mem{Base: f.b, Disp: group * v.bytes}, sum, sum)
		VMOVUPS(sum, Mem{Base: f.y, Disp: group * v.bytes})
		// The next group begins in the voxel where this one ends.
		for range (group+1)*16/co - group*16/co {
			ADDQ(f.row, f.x)
		}
	}
	ADDQ(U32(uint32(co*v.bytes)), f.y)
	DECQ(f.steps)
	JNZ(LabelRef("step"))
	VZEROUPPER()
	RET()
}

// addTree makes a vector of the sums of the lanes of 16 vectors.
func addTree(v vec, a []reg.VecVirtual) reg.VecVirtual {
	// pair adds what two permutations take of x and y: low takes as much of both as high.
	pair := func(shuffle func(imm, y, x, to Op), low, high uint64, x, y reg.VecVirtual) reg.VecVirtual {
		l, h := v.reg(), v.reg()
		shuffle(Imm(low), y, x, l)
		shuffle(Imm(high), y, x, h)
		VADDPS(h, l, l)
		return l
	}
	blocks := func(imm, y, x, to Op) { VSHUFF32X4(imm, y, x, to) }
	within := func(imm, y, x, to Op) { VSHUFPS(imm, y, x, to) }
	var quads [4]reg.VecVirtual // block b of quads[q] is of vector 4b+q
	for q := range quads {
		low := pair(blocks, 0x44, 0xee, a[q], a[4+q])     // x0+x2 x1+x3 y0+y2 y1+y3
		high := pair(blocks, 0x44, 0xee, a[8+q], a[12+q]) // blocks of 4 lanes
		quads[q] = pair(blocks, 0x88, 0xdd, low, high)
	}
	even := pair(within, 0x44, 0xee, quads[0], quads[1])
	odd := pair(within, 0x44, 0xee, quads[2], quads[3])
	return pair(within, 0x88, 0xdd, even, odd)
}

// headGrad makes the sums of a strip: sum [co 3 lanes] = Σ dy[v][j]·x[v], of both its
// vectors, and Σ dy[v][j] in each lane.
func headGrad(v vec, co int, half bool) {
	text(headName("headGrad", v, co, half), "sum *float32, x unsafe.Pointer, dy *float32, step, voxels int")
	p := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	sum, x, dy, step, n := p("sum"), p("x"), p("dy"), p("step"), p("voxels")
	acc := v.vectors(3 * co)
	for _, a := range acc {
		VXORPS(a, a, a)
	}
	var odd reg.VecVirtual
	if half {
		odd = v.oddMask()
	}
	Label("voxel")
	for line := 0; line < v.stripBytes(half); line += 64 {
		PREFETCHT0(Mem{Base: x, Disp: dotAhead + line})
	}
	c := v.channels(Mem{Base: x}, half, odd)
	for j := range co {
		d := v.reg()
		VBROADCASTSS(Mem{Base: dy, Disp: 4 * j}, d)
		VFMADD231PS(d, c[0], acc[3*j])
		VFMADD231PS(d, c[1], acc[3*j+1])
		VADDPS(d, acc[3*j+2], acc[3*j+2])
	}
	ADDQ(step, x)
	ADDQ(Imm(uint64(4*co)), dy)
	DECQ(n)
	JNZ(LabelRef("voxel"))
	for i, a := range acc {
		VMOVUPS(a, Mem{Base: sum, Disp: i * v.bytes})
	}
	VZEROUPPER()
	RET()
}

// spread makes bf16 dx[v] = Σ dy[v][j]·w[strip][j], strip after strip.
func spread(v vec, co int) {
	text(headName("spread", v, co, true), "dx unsafe.Pointer, dy, w *float32, strips, voxels int")
	p := func(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }
	dx, dy, w, strips, n := p("dx"), p("dy"), p("w"), p("strips"), p("voxels")
	round := newNarrower(v, true)
	odd, quiet := v.oddMask(), v.reg()
	constant(v, 0x00400000, quiet)
	Label("voxel")
	of, left := GP64(), GP64()
	MOVQ(w, of)
	MOVQ(strips, left)
	Label("strip")
	x := [2]reg.VecVirtual{v.reg(), v.reg()}
	for j := range co {
		d := v.reg()
		VBROADCASTSS(Mem{Base: dy, Disp: 4 * j}, d)
		for i := range x {
			m := Mem{Base: of, Disp: (2*j + i) * v.bytes}
			if j == 0 {
				VMULPS(m, d, x[i])
			} else {
				VFMADD231PS(m, d, x[i])
			}
		}
	}
	PREFETCHT0(Mem{Base: dx, Disp: dotAhead})
	for i := range x {
		x[i] = round.upper(x[i], quiet)
	}
	VPSRLD(Imm(16), x[0], x[0])
	VANDPS(odd, x[1], x[1])
	VORPS(x[1], x[0], x[0])
	VMOVUPS(x[0], Mem{Base: dx})
	ADDQ(U32(uint32(2*co*v.bytes)), of)
	ADDQ(Imm(uint64(v.bytes)), dx)
	DECQ(left)
	JNZ(LabelRef("strip"))
	ADDQ(Imm(uint64(4*co)), dy)
	DECQ(n)
	JNZ(LabelRef("voxel"))
	VZEROUPPER()
	RET()
}

// upper is x rounded to bf16 in its upper bits; the lower ones mean nothing. quiet is the
// bit of a quiet NaN.
func (n *narrower) upper(x, quiet reg.VecVirtual) reg.VecVirtual {
	v, r, nan := n.v, n.v.reg(), n.v.reg()
	const unordered = 3
	VPSRLD(Imm(16), x, r)
	VANDPS(n.one, r, r)
	VPADDD(n.half, r, r)
	VPADDD(x, r, r)
	VORPS(quiet, x, nan)
	v.choose(v.compare(unordered, x, x), nan, r)
	return r
}
