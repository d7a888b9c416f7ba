package main

import (
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

const (
	vector = 32         // bytes
	block  = 4 * vector // cpu.flat's block

	ahead     = 1024 // bytes that are prefetched: the processor alone leaves memory idle
	equal     = 0    // of VCMPPS
	less      = 1
	lessEqual = 2
	nearest   = 8 // of VROUNDPS: to even, without an exception
)

// elementwise makes the kernels of cpu.flat. They wait for memory, so that
// AVX-512 would not make them faster: there is one set, for AVX2 and FMA.
func elementwise() {
	sums()
	moments()
	norm()
	gradSums()
	grad()
	leakyAdd()
	leakyGrad()
	axpy()
	blend()
	for co, step := range []int{1: 8, 2: 4, 3: 4, 4: 2} {
		if co > 0 {
			dot(co, step)
		}
	}
	squares()
	sgd()
	adam()
	losses()
}

// sweepFrame is the registers of a kernel over a cpu.sweep.
type sweepFrame struct{ s, rows, columns, at reg.GPVirtual }

// openSweep begins a kernel; columns are in bytes.
func openSweep(name string) *sweepFrame {
	text(name, "s *sweep")
	f := &sweepFrame{s: Load(Param("s"), GP64()).(reg.GPVirtual), rows: GP64(), columns: GP64(), at: GP64()}
	MOVQ(Mem{Base: f.s, Disp: sColumns}, f.columns)
	SHLQ(Imm(2), f.columns)
	return f
}

func (f *sweepFrame) pointer(field int) reg.GPVirtual {
	r := GP64()
	MOVQ(Mem{Base: f.s, Disp: field}, r)
	return r
}

func (f *sweepFrame) broadcast(field int) reg.VecVirtual {
	r := YMM()
	VBROADCASTSS(Mem{Base: f.s, Disp: field}, r)
	return r
}

// across is vector j of a row or column vector at the current column.
func (f *sweepFrame) across(p reg.GPVirtual, j int) Mem {
	return Mem{Base: p, Index: f.at, Scale: 1, Disp: j * vector}
}

// eachRow runs body for all blocks of 4 vectors of all rows; data are the
// pointers to rows.
func (f *sweepFrame) eachRow(data []reg.GPVirtual, body func(j int)) {
	MOVQ(Mem{Base: f.s, Disp: sRows}, f.rows)
	Label("row")
	XORQ(f.at, f.at)
	Label("block")
	for j := range block / vector {
		if j%2 == 0 {
			for _, p := range data {
				m := f.across(p, j)
				m.Disp += ahead
				PREFETCHT0(m)
			}
		}
		body(j)
	}
	ADDQ(Imm(block), f.at)
	CMPQ(f.at, f.columns)
	JLT(LabelRef("block"))
	for _, p := range data {
		ADDQ(f.columns, p)
	}
	DECQ(f.rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// eachColumn runs body for n vectors of columns through all rows; open and done
// stand around the rows. data are the fields that point to rows.
func (f *sweepFrame) eachColumn(n int, fields []int, open func(), body func(p []reg.GPVirtual), done func()) {
	XORQ(f.at, f.at)
	Label("columns")
	open()
	MOVQ(Mem{Base: f.s, Disp: sRows}, f.rows)
	p := make([]reg.GPVirtual, len(fields))
	for i, field := range fields {
		p[i] = f.pointer(field)
		ADDQ(f.at, p[i])
	}
	Label("row")
	for _, p := range p {
		for at := 0; at < n*vector; at += 64 {
			PREFETCHT0(Mem{Base: p, Disp: ahead + at})
		}
	}
	body(p)
	for _, p := range p {
		ADDQ(f.columns, p)
	}
	DECQ(f.rows)
	JNZ(LabelRef("row"))
	done()
	ADDQ(Imm(uint64(n*vector)), f.at)
	CMPQ(f.at, f.columns)
	JLT(LabelRef("columns"))
	VZEROUPPER()
	RET()
}

// load fills registers with n vectors at the current column.
func (f *sweepFrame) load(p reg.GPVirtual, r []reg.VecVirtual) {
	for j := range r {
		VMOVUPS(f.across(p, j), r[j])
	}
}

func (f *sweepFrame) store(p reg.GPVirtual, r []reg.VecVirtual) {
	for j := range r {
		VMOVUPS(r[j], f.across(p, j))
	}
}

func vectors(n int) []reg.VecVirtual {
	r := make([]reg.VecVirtual, n)
	for i := range r {
		r[i] = YMM()
	}
	return r
}

func sums() {
	f := openSweep("sumsAVX2")
	sum, acc := f.pointer(sSum), vectors(4)
	f.eachColumn(4, []int{sX}, func() { f.load(sum, acc) }, func(p []reg.GPVirtual) {
		for j := range acc {
			VADDPS(Mem{Base: p[0], Disp: j * vector}, acc[j], acc[j])
		}
	}, func() { f.store(sum, acc) })
}

func moments() {
	f := openSweep("momentsAVX2")
	sum, sum2, mean := f.pointer(sSum), f.pointer(sSum2), f.pointer(sMean)
	acc, acc2 := vectors(4), vectors(4)
	open := func() {
		f.load(sum, acc)
		f.load(sum2, acc2)
	}
	f.eachColumn(4, []int{sX}, open, func(p []reg.GPVirtual) {
		for j := range acc {
			d := YMM()
			VMOVUPS(Mem{Base: p[0], Disp: j * vector}, d)
			VSUBPS(f.across(mean, j), d, d)
			VADDPS(d, acc[j], acc[j])
			VFMADD231PS(d, d, acc2[j])
		}
	}, func() {
		f.store(sum, acc)
		f.store(sum2, acc2)
	})
}

// leaky makes v = v ≥ 0 ? v : slope·v.
func leaky(v, slope reg.VecVirtual) {
	t := YMM()
	VMULPS(slope, v, t)
	VBLENDVPS(v, t, v, v)
}

func norm() {
	f := openSweep("normAVX2")
	x, y, slope := f.pointer(sX), f.pointer(sY), f.broadcast(sSlope)
	mean, scale, shift := f.pointer(sMean), f.pointer(sScale), f.pointer(sShift)
	f.eachRow([]reg.GPVirtual{x, y}, func(j int) {
		v, a := YMM(), YMM()
		VMOVUPS(f.across(x, j), v)
		VMOVUPS(f.across(scale, j), a)
		VSUBPS(f.across(mean, j), v, v)
		VFMADD213PS(f.across(shift, j), a, v)
		leaky(v, slope)
		VMOVUPS(v, f.across(y, j))
	})
}

// slopeOf makes g = d·scale + shift ≥ 0 ? g : slope·g.
func slopeOf(g, d, scale, slope, zero reg.VecVirtual, shift Op) {
	pre, t := YMM(), YMM()
	VMOVAPS(d, pre)
	VFMADD213PS(shift, scale, pre)
	VCMPPS(Imm(less), zero, pre, pre)
	VMULPS(slope, g, t)
	VBLENDVPS(pre, t, g, g)
}

func gradSums() {
	f := openSweep("gradSumsAVX2")
	const n = 2
	sum, sum2 := f.pointer(sSum), f.pointer(sSum2)
	pMean, pScale, pShift := f.pointer(sMean), f.pointer(sScale), f.pointer(sShift)
	slope, zero := f.broadcast(sSlope), YMM()
	VXORPS(zero, zero, zero)
	acc, acc2, mean, scale := vectors(n), vectors(n), vectors(n), vectors(n)
	open := func() {
		f.load(sum, acc)
		f.load(sum2, acc2)
		f.load(pMean, mean)
		f.load(pScale, scale)
	}
	f.eachColumn(n, []int{sX, sDY}, open, func(p []reg.GPVirtual) {
		for j := range n {
			d, g := YMM(), YMM()
			VMOVUPS(Mem{Base: p[0], Disp: j * vector}, d)
			VMOVUPS(Mem{Base: p[1], Disp: j * vector}, g)
			VSUBPS(mean[j], d, d)
			slopeOf(g, d, scale[j], slope, zero, f.across(pShift, j))
			VADDPS(g, acc[j], acc[j])
			VFMADD231PS(d, g, acc2[j])
		}
	}, func() {
		f.store(sum, acc)
		f.store(sum2, acc2)
	})
}

func grad() {
	f := openSweep("gradAVX2")
	x, dy, dx, slope := f.pointer(sX), f.pointer(sDY), f.pointer(sY), f.broadcast(sSlope)
	mean, pScale, shift, k0, k1 := f.pointer(sMean), f.pointer(sScale), f.pointer(sShift), f.pointer(sK0), f.pointer(sK1)
	zero := YMM()
	VXORPS(zero, zero, zero)
	f.eachRow([]reg.GPVirtual{x, dy, dx}, func(j int) {
		d, g, scale, c := YMM(), YMM(), YMM(), YMM()
		VMOVUPS(f.across(x, j), d)
		VMOVUPS(f.across(dy, j), g)
		VMOVUPS(f.across(pScale, j), scale)
		VSUBPS(f.across(mean, j), d, d)
		slopeOf(g, d, scale, slope, zero, f.across(shift, j))
		VMOVUPS(f.across(k1, j), c)
		VFMADD213PS(f.across(k0, j), c, d) // k0 + k1·d
		VFMSUB213PS(d, scale, g)
		VMOVUPS(g, f.across(dx, j))
	})
}

// scalar broadcasts a parameter.
func scalar(name string) reg.VecVirtual {
	x, r := XMM(), YMM()
	Load(Param(name), x)
	VBROADCASTSS(x, r)
	return r
}

func leakyAdd() {
	var slope reg.VecVirtual
	sweep("leakyAddAVX2", "y, a, b *float32, vectors int, slope float32", avx2, []string{"y", "a", "b"},
		func() { slope = scalar("slope") }, func(p []reg.GPVirtual) {
			v := YMM()
			VMOVUPS(Mem{Base: p[1]}, v)
			VADDPS(Mem{Base: p[2]}, v, v)
			leaky(v, slope)
			VMOVUPS(v, Mem{Base: p[0]})
		})
}

func leakyGrad() {
	var slope, zero reg.VecVirtual
	setup := func() {
		slope, zero = scalar("slope"), YMM()
		VXORPS(zero, zero, zero)
	}
	sweep("leakyGradAVX2", "dx, dy, y *float32, vectors int, slope float32", avx2, []string{"dx", "dy", "y"},
		setup, func(p []reg.GPVirtual) {
			g, y, t := YMM(), YMM(), YMM()
			VMOVUPS(Mem{Base: p[1]}, g)
			VMOVUPS(Mem{Base: p[2]}, y)
			VCMPPS(Imm(less), zero, y, y)
			VMULPS(slope, g, t)
			VBLENDVPS(y, t, g, g)
			VMOVUPS(g, Mem{Base: p[0]})
		})
}

func axpy() {
	var m reg.VecVirtual
	sweep("axpyAVX2", "y, x *float32, vectors int, m float32", avx2, []string{"y", "x"},
		func() { m = scalar("m") }, func(p []reg.GPVirtual) {
			v := YMM()
			VMOVUPS(Mem{Base: p[0]}, v)
			VFMADD231PS(Mem{Base: p[1]}, m, v)
			VMOVUPS(v, Mem{Base: p[0]})
		})
}

// blend spreads 8 weights over k vectors of x, which hold 8 voxels of k classes.
func blend() {
	text("blendAVX2", "y, x, w *float32, index *int32, k, groups int")
	y, x, w := Load(Param("y"), GP64()), Load(Param("x"), GP64()), Load(Param("w"), GP64())
	index, k, groups := Load(Param("index"), GP64()), Load(Param("k"), GP64()), Load(Param("groups"), GP64())
	weights, at, n := YMM(), GP64(), GP64()
	Label("group")
	VMOVUPS(Mem{Base: w.(reg.Register)}, weights)
	MOVQ(index, at)
	MOVQ(k, n)
	Label("vector")
	of, acc := YMM(), YMM()
	VMOVDQU(Mem{Base: at}, of)
	VMOVUPS(Mem{Base: y.(reg.Register)}, acc)
	VPERMPS(weights, of, of)
	VFMADD231PS(Mem{Base: x.(reg.Register)}, of, acc)
	VMOVUPS(acc, Mem{Base: y.(reg.Register)})
	for _, p := range []Op{at, x, y} {
		ADDQ(Imm(vector), p)
	}
	DECQ(n)
	JNZ(LabelRef("vector"))
	ADDQ(Imm(vector), w)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}
