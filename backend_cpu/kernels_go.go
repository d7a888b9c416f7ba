package cpu

import (
	"unsafe"

	"github.com/gounet/gounet/internal/half"
)

// plainGo is the kernels in Go: for processors without others, and the second
// opinion on those.
var plainGo = isa{
	name: "go", lanes: 4, vectors: 1, rows: [3]int{1: 4},
	gather: [3][maxRows + 1]func(*tile){1: {
		1: func(t *tile) { gatherGo(t, 1) }, 2: func(t *tile) { gatherGo(t, 2) },
		3: func(t *tile) { gatherGo(t, 3) }, 4: func(t *tile) { gatherGo(t, 4) },
	}},
	outer: [3][maxRows + 1]func(*tile){1: {
		1: func(t *tile) { outerGo(t, 1) }, 2: func(t *tile) { outerGo(t, 2) },
		3: func(t *tile) { outerGo(t, 3) }, 4: func(t *tile) { outerGo(t, 4) },
	}},
	sum: [3]func(*tile){1: sumGo},
	add: addGo, transpose: transposeGo, peak: peakGo, triad: triadGo, move: moveGo,
	widenBF16: widenGo(half.FromBF16), widenF16: widenGo(half.FromF16),
	narrowBF16: narrowGo(half.ToBF16), narrowF16: narrowGo(half.ToF16),
}

// row4 is a vector of the Go kernels.
type row4 = [4]float32

// gatherGo makes tiles of mr rows: tile has the formula. Rows beyond mr repeat
// the last one, so that one function with 16 sums in registers serves all.
func gatherGo(t *tile, mr int) {
	i1, i2, i3 := min(1, mr-1), min(2, mr-1), min(3, mr-1)
	segments := unsafe.Slice(t.seg, t.n)
	for ; t.tiles > 0; t.nextTile() {
		c0, c1, c2, c3, acc := openGo(t, i1, i2, i3)
		for _, s := range segments {
			a0 := unsafe.Slice((*float32)(unsafe.Add(s.a, t.aOff)), t.k)
			a1 := unsafe.Slice((*float32)(unsafe.Add(s.a, t.aOff+i1*t.aStep)), t.k)
			a2 := unsafe.Slice((*float32)(unsafe.Add(s.a, t.aOff+i2*t.aStep)), t.k)
			a3 := unsafe.Slice((*float32)(unsafe.Add(s.a, t.aOff+i3*t.aStep)), t.k)
			b := unsafe.Slice((*row4)(s.b), t.k)
			multiplyGo(&acc, a0, a1, a2, a3, b)
		}
		*c0, *c1, *c2, *c3 = acc[0], acc[1], acc[2], acc[3]
		t.cOff += mr * t.cStep
		t.aOff += mr * t.aStep
	}
}

// nextTile counts the tile that was made, and goes on with the next row of tiles.
func (t *tile) nextTile() {
	if t.tiles--; t.tiles == 0 && t.more > 0 {
		t.more--
		t.tiles = t.each
		t.aOff += t.aNext
		t.cOff += t.cNext
	}
}

// openGo finds four rows of c and what they start from.
func openGo(t *tile, i1, i2, i3 int) (c0, c1, c2, c3 *row4, acc [4]row4) {
	c := unsafe.Add(unsafe.Pointer(t.c), t.cOff)
	c0, c1 = (*row4)(c), (*row4)(unsafe.Add(c, i1*t.cStep))
	c2, c3 = (*row4)(unsafe.Add(c, i2*t.cStep)), (*row4)(unsafe.Add(c, i3*t.cStep))
	if t.init != nil {
		r := *(*row4)(unsafe.Pointer(t.init))
		return c0, c1, c2, c3, [4]row4{r, r, r, r}
	}
	return c0, c1, c2, c3, [4]row4{*c0, *c1, *c2, *c3}
}

// multiplyGo adds the products of four rows of a with b.
func multiplyGo(acc *[4]row4, a0, a1, a2, a3 []float32, b []row4) {
	a1, a2, a3, b = a1[:len(a0)], a2[:len(a0)], a3[:len(a0)], b[:len(a0)]
	c00, c01, c02, c03 := acc[0][0], acc[0][1], acc[0][2], acc[0][3]
	c10, c11, c12, c13 := acc[1][0], acc[1][1], acc[1][2], acc[1][3]
	c20, c21, c22, c23 := acc[2][0], acc[2][1], acc[2][2], acc[2][3]
	c30, c31, c32, c33 := acc[3][0], acc[3][1], acc[3][2], acc[3][3]
	for k, x := range a0 {
		r := &b[k]
		b0, b1, b2, b3 := r[0], r[1], r[2], r[3]
		c00, c01, c02, c03 = c00+x*b0, c01+x*b1, c02+x*b2, c03+x*b3
		x = a1[k]
		c10, c11, c12, c13 = c10+x*b0, c11+x*b1, c12+x*b2, c13+x*b3
		x = a2[k]
		c20, c21, c22, c23 = c20+x*b0, c21+x*b1, c22+x*b2, c23+x*b3
		x = a3[k]
		c30, c31, c32, c33 = c30+x*b0, c31+x*b1, c32+x*b2, c33+x*b3
	}
	*acc = [4]row4{{c00, c01, c02, c03}, {c10, c11, c12, c13}, {c20, c21, c22, c23}, {c30, c31, c32, c33}}
}

// outerGo makes tiles of mr rows: tile has the formula.
func outerGo(t *tile, mr int) {
	i1, i2, i3 := min(1, mr-1), min(2, mr-1), min(3, mr-1)
	segments := unsafe.Slice(t.seg, t.n)
	for ; t.tiles > 0; t.tiles-- {
		c0, c1, c2, c3, acc := openGo(t, i1, i2, i3)
		c00, c01, c02, c03 := acc[0][0], acc[0][1], acc[0][2], acc[0][3]
		c10, c11, c12, c13 := acc[1][0], acc[1][1], acc[1][2], acc[1][3]
		c20, c21, c22, c23 := acc[2][0], acc[2][1], acc[2][2], acc[2][3]
		c30, c31, c32, c33 := acc[3][0], acc[3][1], acc[3][2], acc[3][3]
		for _, s := range segments {
			for k := range t.k {
				a := unsafe.Slice((*float32)(unsafe.Add(s.a, t.aOff+k*t.aStep)), mr)
				r := (*row4)(unsafe.Add(s.b, k*t.bStep))
				b0, b1, b2, b3 := r[0], r[1], r[2], r[3]
				x := a[0]
				c00, c01, c02, c03 = c00+x*b0, c01+x*b1, c02+x*b2, c03+x*b3
				x = a[i1]
				c10, c11, c12, c13 = c10+x*b0, c11+x*b1, c12+x*b2, c13+x*b3
				x = a[i2]
				c20, c21, c22, c23 = c20+x*b0, c21+x*b1, c22+x*b2, c23+x*b3
				x = a[i3]
				c30, c31, c32, c33 = c30+x*b0, c31+x*b1, c32+x*b2, c33+x*b3
			}
		}
		*c0, *c1 = row4{c00, c01, c02, c03}, row4{c10, c11, c12, c13}
		*c2, *c3 = row4{c20, c21, c22, c23}, row4{c30, c31, c32, c33}
		t.cOff += mr * t.cStep
		t.aOff += 4 * mr
	}
}

// sumGo adds rows of b to a row of c: tile has the formula.
func sumGo(t *tile) {
	c := (*row4)(unsafe.Pointer(t.c))
	r := *c
	if t.init != nil {
		r = *(*row4)(unsafe.Pointer(t.init))
	}
	for _, s := range unsafe.Slice(t.seg, t.n) {
		for k := range t.k {
			b := (*row4)(unsafe.Add(s.b, k*t.bStep))
			r[0], r[1], r[2], r[3] = r[0]+b[0], r[1]+b[1], r[2]+b[2], r[3]+b[3]
		}
	}
	*c = r
}

func addGo(dst, src *float32, vectors int) {
	d, s := unsafe.Slice(dst, 4*vectors), unsafe.Slice(src, 4*vectors)
	for i, x := range s {
		d[i] += x
	}
}

func triadGo(dst, a, b *float32, vectors int) {
	d, x, y := unsafe.Slice(dst, 4*vectors), unsafe.Slice(a, 4*vectors), unsafe.Slice(b, 4*vectors)
	for i := range d {
		d[i] = x[i] + 3*y[i]
	}
}

func transposeGo(dst, src *float32, dstStep, srcStep int) {
	for i := range 4 {
		row := (*row4)(unsafe.Add(unsafe.Pointer(src), i*srcStep))
		for j, x := range row {
			*(*float32)(unsafe.Add(unsafe.Pointer(dst), j*dstStep+4*i)) = x
		}
	}
}

// peakGo multiplies as often as its vector kin, with 16 sums in registers.
func peakGo(n int) {
	var acc [4]row4
	ones := [4]float32{1, 1, 1, 1}
	b := [4]row4{{1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}, {1, 1, 1, 1}}
	for range (n*12 + 15) / 16 {
		multiplyGo(&acc, ones[:], ones[:], ones[:], ones[:], b[:])
	}
}

func moveGo(dst, src unsafe.Pointer, rows, vectors, dstStep, srcStep int) {
	for r := range rows {
		d := unsafe.Slice((*float32)(unsafe.Add(dst, r*dstStep)), 4*vectors)
		copy(d, unsafe.Slice((*float32)(unsafe.Add(src, r*srcStep)), 4*vectors))
	}
}

func widenGo(one func(uint16) float32) convert {
	return func(dst, src unsafe.Pointer, rows, vectors, dstStep, srcStep int) {
		for r := range rows {
			d := unsafe.Slice((*float32)(unsafe.Add(dst, r*dstStep)), 4*vectors)
			for i, x := range unsafe.Slice((*uint16)(unsafe.Add(src, r*srcStep)), 4*vectors) {
				d[i] = one(x)
			}
		}
	}
}

func narrowGo(one func(float32) uint16) convert {
	return func(dst, src unsafe.Pointer, rows, vectors, dstStep, srcStep int) {
		for r := range rows {
			d := unsafe.Slice((*uint16)(unsafe.Add(dst, r*dstStep)), 4*vectors)
			for i, x := range unsafe.Slice((*float32)(unsafe.Add(src, r*srcStep)), 4*vectors) {
				d[i] = one(x)
			}
		}
	}
}
