package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// losses makes the kernels of cpu.flat that the loss needs.
func losses() {
	largest()
	expSub()
	logs()
	choose()
	firstOf()
	classSums()
	picked()
	mixed()
	softGrad()
}

// constants fills registers with 32 bits each.
func constants(bits []uint32) (c []reg.VecVirtual, setup func()) {
	c = vectors(len(bits))
	return c, func() {
		for i, b := range bits {
			constant(avx2, b, c[i])
		}
	}
}

func largest() {
	sweep("largestAVX2", "m, x *float32, vectors int", avx2, []string{"m", "x"}, func() {}, func(p []reg.GPVirtual) {
		v := YMM()
		VMOVUPS(Mem{Base: p[0]}, v)
		VMAXPS(Mem{Base: p[1]}, v, v)
		VMOVUPS(v, Mem{Base: p[0]})
	})
}

// expSub makes e^t, t = x − m, of t = n·log 2 + r, |r| ≤ ½·log 2: 2^n times the
// Taylor series of e^r to r^7, whose next term is below 2^-27.
func expSub() {
	const (
		least = iota
		log2e
		high
		low
		bias
		series
	)
	c, setup := constants([]uint32{
		0xc2b00000,             // −88, whose exponential is below 2^-126
		0x3fb8aa3b,             // 1/log 2
		0x3f318000, 0xb95e8083, // log 2 in two parts, the first of 9 bits
		127,
		0x39500d01, 0x3ab60b61, 0x3c088889, 0x3d2aaaab, 0x3e2aaaab, 0x3f000000, 0x3f800000, // 1/7! … 1/2!, 1
	})
	sweep("expSubAVX2", "e, x, m *float32, vectors int", avx2, []string{"e", "x", "m"}, setup, func(p []reg.GPVirtual) {
		t, n, e := YMM(), YMM(), YMM()
		VMOVUPS(Mem{Base: p[1]}, t)
		VSUBPS(Mem{Base: p[2]}, t, t)
		VMAXPS(t, c[least], t)
		VMULPS(c[log2e], t, n)
		VROUNDPS(Imm(nearest), n, n)
		VFNMADD231PS(c[high], n, t)
		VFNMADD231PS(c[low], n, t)
		VMOVAPS(c[series], e)
		for _, k := range c[series+1:] {
			VFMADD213PS(k, t, e)
		}
		VFMADD213PS(c[len(c)-1], t, e) // the series ends with 1, 1
		VCVTPS2DQ(n, n)
		VPADDD(c[bias], n, n)
		VPSLLD(Imm(23), n, n)
		VMULPS(n, e, e)
		VMOVUPS(e, Mem{Base: p[0]})
	})
}

// logs makes log x of x = 2^e·m, √½ ≤ m < √2: e·log 2 plus the series
// 2·(s + s³/3 + … + s⁹/9), s = (m − 1)/(m + 1), whose next term is below 2^-28.
func logs() {
	const (
		root = iota
		one
		high
		low
		series
		infinite = series + 5
	)
	c, setup := constants([]uint32{
		0x3f3504f3, 0x3f800000, // √½, 1
		0x3f318000, 0xb95e8083, // log 2 in two parts, the first of 9 bits
		0x3e638e39, 0x3e924925, 0x3ecccccd, 0x3f2aaaab, 0x40000000, // 2/9 … 2/3, 2
		0xff800000, // −∞
	})
	sweep("logsAVX2", "y, x *float32, vectors int", avx2, []string{"y", "x"}, setup, func(p []reg.GPVirtual) {
		x, e, m, s, q, y := YMM(), YMM(), YMM(), YMM(), YMM(), YMM()
		VMOVUPS(Mem{Base: p[1]}, x)
		VPSUBD(c[root], x, e)
		VPSRAD(Imm(23), e, e)
		VPSLLD(Imm(23), e, m)
		VPSUBD(m, x, m)
		VCVTDQ2PS(e, e)
		VADDPS(c[one], m, q)
		VSUBPS(c[one], m, s)
		VDIVPS(q, s, s)
		VMULPS(s, s, q)
		VMOVAPS(c[series], y)
		for _, k := range c[series+1 : infinite] {
			VFMADD213PS(k, q, y)
		}
		VMULPS(s, y, y)
		VFMADD231PS(c[low], e, y)
		VFMADD231PS(c[high], e, y)
		VXORPS(q, q, q)
		VCMPPS(Imm(lessEqual), q, x, q)
		VBLENDVPS(q, c[infinite], y, y)
		VMOVUPS(y, Mem{Base: p[0]})
	})
}

// choose makes t = a is k ? 1 : 0.
func choose() {
	c, setup := constants([]uint32{0x3f800000})
	var k reg.VecVirtual
	sweep("chooseAVX2", "t, a *float32, vectors int, k float32", avx2, []string{"t", "a"}, func() {
		setup()
		k = scalar("k")
	}, func(p []reg.GPVirtual) {
		v := YMM()
		VCMPPS(Imm(equal), Mem{Base: p[1]}, k, v)
		VANDPS(c[0], v, v)
		VMOVUPS(v, Mem{Base: p[0]})
	})
}

// firstOf makes p = x is top and not yet taken ? 1 : 0, and takes it.
func firstOf() {
	c, setup := constants([]uint32{0x3f800000})
	sweep("firstOfAVX2", "p, taken, x, top *float32, vectors int", avx2, []string{"p", "taken", "x", "top"}, setup, func(p []reg.GPVirtual) {
		x, taken, v := YMM(), YMM(), YMM()
		VMOVUPS(Mem{Base: p[2]}, x)
		VMOVUPS(Mem{Base: p[1]}, taken)
		VCMPPS(Imm(equal), Mem{Base: p[3]}, x, v)
		VANDPS(c[0], v, v)
		VORPS(v, taken, x)
		VANDNPS(v, taken, v)
		VMOVUPS(v, Mem{Base: p[0]})
		VMOVUPS(x, Mem{Base: p[1]})
	})
}

// sumsOf makes a kernel whose sums [n lanes] lie behind the first parameter.
func sumsOf(name, parameters string, pointers []string, n int, body func(p []reg.GPVirtual, acc []reg.VecVirtual)) {
	text(name, "sum *float32, "+parameters+" *float32, vectors int")
	sum := Load(Param("sum"), GP64()).(reg.GPVirtual)
	acc := vectors(n)
	for i, a := range acc {
		VMOVUPS(Mem{Base: sum, Disp: i * vector}, a)
	}
	var p []reg.GPVirtual
	for _, name := range pointers {
		p = append(p, Load(Param(name), GP64()).(reg.GPVirtual))
	}
	count := Load(Param("vectors"), GP64())
	Label("loop")
	body(p, acc)
	for _, r := range p {
		ADDQ(Imm(vector), r)
	}
	DECQ(count)
	JNZ(LabelRef("loop"))
	for i, a := range acc {
		VMOVUPS(a, Mem{Base: sum, Disp: i * vector})
	}
	VZEROUPPER()
	RET()
}

// classSums adds Σ p·t, Σ p·v and Σ t.
func classSums() {
	sumsOf("classSumsAVX2", "p, t, v", []string{"p", "t", "v"}, 3, func(p []reg.GPVirtual, acc []reg.VecVirtual) {
		x, t := YMM(), YMM()
		VMOVUPS(Mem{Base: p[0]}, x)
		VMOVUPS(Mem{Base: p[1]}, t)
		VFMADD231PS(t, x, acc[0])
		VFMADD231PS(Mem{Base: p[2]}, x, acc[1])
		VADDPS(t, acc[2], acc[2])
	})
}

// picked adds Σ t·(l + (m − z)).
func picked() {
	sumsOf("pickedAVX2", "t, l, m, z", []string{"t", "l", "m", "z"}, 1, func(p []reg.GPVirtual, acc []reg.VecVirtual) {
		x := YMM()
		VMOVUPS(Mem{Base: p[2]}, x)
		VSUBPS(Mem{Base: p[3]}, x, x)
		VADDPS(Mem{Base: p[1]}, x, x)
		VFMADD231PS(Mem{Base: p[0]}, x, acc[0])
	})
}

// mixed makes y += (a + b·t)·x.
func mixed() {
	var a, b reg.VecVirtual
	sweep("mixedAVX2", "y, x, t *float32, vectors int, a, b float32", avx2, []string{"y", "x", "t"}, func() {
		a, b = scalar("a"), scalar("b")
	}, func(p []reg.GPVirtual) {
		y, t := YMM(), YMM()
		VMOVUPS(Mem{Base: p[2]}, t)
		VMOVUPS(Mem{Base: p[0]}, y)
		VFMADD213PS(a, b, t)
		VFMADD231PS(Mem{Base: p[1]}, t, y)
		VMOVUPS(y, Mem{Base: p[0]})
	})
}

// softGrad makes y = x·(a + b·t − m) + c·(x − o).
func softGrad() {
	var a, b reg.VecVirtual
	sweep("softGradAVX2", "y, x, t, o, m, c *float32, vectors int, a, b float32", avx2, []string{"y", "x", "t", "o", "m", "c"}, func() {
		a, b = scalar("a"), scalar("b")
	}, func(p []reg.GPVirtual) {
		x, t, d := YMM(), YMM(), YMM()
		VMOVUPS(Mem{Base: p[1]}, x)
		VMOVUPS(Mem{Base: p[2]}, t)
		VFMADD213PS(a, b, t)
		VSUBPS(Mem{Base: p[4]}, t, t)
		VSUBPS(Mem{Base: p[3]}, x, d)
		VMULPS(Mem{Base: p[5]}, d, d)
		VFMADD231PS(t, x, d)
		VMOVUPS(d, Mem{Base: p[0]})
	})
}
