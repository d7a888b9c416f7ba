//go:build amd64

package cpu

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

var byteForm = regexp.MustCompile(`0x([0-9a-f]{2})`)

// decode reads the bytes of a VDPBF16PS, EVEX.512.F3.0F38.W0 52 /r between
// registers.
func decode(line string) instruction {
	var b []int
	for _, m := range byteForm.FindAllStringSubmatch(line, -1) {
		x, _ := strconv.ParseUint(m[1], 16, 8) // the form has no others
		b = append(b, int(x))
	}
	bit := func(b, i int) int { return b >> i & 1 }
	const fixed1, fixed2, fixed3 = 0x02, 0x06, 0x40 // map, W and prefix, length and mask
	if len(b) != 6 || b[0] != 0x62 || b[1]&0x0f != fixed1 || b[2]&0x87 != fixed2 || b[3]&0xf7 != fixed3 || b[4] != 0x52 || b[5] < 0xc0 {
		panic("the emulator cannot decode " + line)
	}
	z := func(n int) operand { return operand{kind: 'v', reg: n, lanes: 16} }
	acc := b[5]>>3&7 | (1-bit(b[1], 7))<<3 | (1-bit(b[1], 4))<<4
	src1 := ^b[2]>>3&15 | (1-bit(b[3], 3))<<4
	src2 := b[5]&7 | (1-bit(b[1], 5))<<3 | (1-bit(b[1], 6))<<4
	return instruction{name: "VDPBF16PS", op: dotBF16, args: []operand{z(src2), z(src1), z(acc)}, to: -1}
}

// dotBF16 is VDPBF16PS as the manual has it: in each lane the upper bf16 are
// multiplied and added, then the lower ones.
func dotBF16(e *emulator, o []operand) {
	a, b, d := &e.vec[o[0].reg], &e.vec[o[1].reg], &e.vec[o[2].reg]
	for i, acc := range d {
		x := flushed(math.Float32frombits(acc))
		x = fmaFlushed(math.Float32frombits(a[i]&0xffff0000), math.Float32frombits(b[i]&0xffff0000), x)
		x = fmaFlushed(math.Float32frombits(a[i]<<16), math.Float32frombits(b[i]<<16), x)
		d[i] = math.Float32bits(x)
	}
}

// flushed is x, or a zero with its sign for a subnormal.
func flushed(x float32) float32 {
	if b := math.Float32bits(x); b&0x7f800000 == 0 {
		return math.Float32frombits(b & 0x80000000)
	}
	return x
}

// fmaFlushed is an fma of f32 that are bf16 in a and b: subnormal operands are
// zeros, and a result is one if it is subnormal when rounded to 24 bits.
func fmaFlushed(a, b, c float32) float32 {
	s := oddFMA(flushed(a), flushed(b), flushed(c))
	const up, smallest = 0x1p64, 0x1p-126 // so much larger, subnormals are rounded to 24 bits
	if math.Abs(s) >= 2*smallest {
		return float32(s)
	}
	if r := float64(float32(s * up)); math.Abs(r) < smallest*up {
		return float32(math.Copysign(0, s))
	}
	return float32(s)
}

// emulatedPairs is the kernels for bf16, run by the emulator.
func emulatedPairs() *isa { return emulated(kernelsBF16, "512") }

// The judge is judged: an fma of numbers of 400 bits, rounded once.
func TestEmulatedDotsOfPairsAreRoundedOnceAndFlushed(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 1))
	draw := func(low int) float32 { // a bf16 with an exponent of low … low+31
		return math.Float32frombits(uint32(r.IntN(2))<<31 | uint32(low+r.IntN(32))<<23 | uint32(r.IntN(128))<<16)
	}
	for range 200_000 {
		low := r.IntN(100) // products from far below the smallest normal f32 on
		a, b := draw(low), draw(100-low+r.IntN(60))
		c := math.Float32frombits(uint32(r.IntN(2))<<31 | uint32(1+r.IntN(100))<<23 | uint32(r.IntN(1<<23)))
		if r.IntN(3) == 0 { // sums of nearly opposite terms
			c = -a * b * (1 + float32(r.IntN(9)-4)*0x1p-23)
		}
		want := exactFMA(a, b, c)
		got := fmaFlushed(a, b, c)
		if want != got {
			require.Failf(t, "not equal", "fma(%g, %g, %g) is %g (%x), want %g", a, b, c, got, math.Float32bits(got), want)
		}
	}
}

// exactFMA is fmaFlushed in big numbers.
func exactFMA(a, b, c float32) float32 {
	wide := func(x float32) *big.Float { return new(big.Float).SetPrec(600).SetFloat64(float64(flushed(x))) }
	s := new(big.Float).SetPrec(600).Mul(wide(a), wide(b))
	s.Add(s, wide(c))
	rounded := new(big.Float).SetPrec(24).SetMode(big.ToNearestEven).Set(s)
	x, _ := rounded.Float64()
	if math.Abs(x) < 0x1p-126 {
		return 0
	}
	return float32(x)
}

func TestEmulatedDotsOfPairsFollowTheManual(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	tiny := float32(0x1p-133) // a subnormal bf16
	dot := func(acc, a0, a1, b0, b1 float32) float32 {
		var e emulator
		pair := func(lo, hi float32) uint32 { return uint32(half.ToBF16(hi))<<16 | uint32(half.ToBF16(lo)) }
		e.vec[0][5], e.vec[1][5], e.vec[2][5] = pair(a0, a1), pair(b0, b1), math.Float32bits(acc)
		v := func(i int) operand { return operand{kind: 'v', reg: i, lanes: 16} }
		dotBF16(&e, []operand{v(0), v(1), v(2)})
		return math.Float32frombits(e.vec[2][5])
	}
	for _, c := range []struct {
		what                string
		acc, a0, a1, b0, b1 float32
		want                float32
	}{
		{"both products", 1, 2, 3, 5, 7, 32},
		{"the upper product first", 1, -0x1p24, 0x1p24, 1, 1, 0},
		{"each sum is rounded", 0x1p24, 1, 1, 1, 1, 0x1p24},
		{"to even", 0x1p24 + 2, 0, 1, 1, 1, 0x1p24 + 4},
		{"a subnormal operand is zero", 1, tiny, 1, 0x1p127, 1, 2},
		{"a subnormal sum so far is zero", 0x1p-127, 0, 1, 0, 0x1p-126, 0x1p-126},
		{"a subnormal result is zero", 0, 0, 0x1p-100, 0, 0x1p-27, 0},
		{"the smallest normal result stays", 0, 0, 0x1p-100, 0, 0x1p-26, 0x1p-126},
		{"infinite", inf, 1, 1, 1, 1, inf},
		{"overflow", 0x1p127, 0, 0x1p126, 0, 2, inf},
	} {
		assert.Equal(t, c.want, dot(c.acc, c.a0, c.a1, c.b0, c.b1), c.what)
	}
	assert.True(t, math.IsNaN(float64(dot(1, nan, 1, 1, 1))))
	assert.True(t, math.IsNaN(float64(dot(1, 0, 1, inf, 1))), "0 times infinity")
	assert.True(t, math.IsNaN(float64(dot(-inf, 0, 1, 0, inf))))
}

func TestEmulatedKernelsForBF16EqualTheFormulaOnExactInputs(t *testing.T) {
	s, p := emulatedPairs(), newPool(1)
	defer p.close()
	for _, shape := range shapes() {
		t.Run(fmt.Sprintf("%+v", shape), func(t *testing.T) {
			c := newCase(shape, 11, eighths)
			equalResults(t, results{store(graph.BF16, c.y), store(graph.BF16, c.dx), store(graph.BF16, c.dx2), store(graph.F32, c.dw), store(graph.F32, c.db)},
				c.compute(s, p, graph.BF16))
		})
	}
	for i, shape := range upShapes() {
		t.Run(fmt.Sprintf("up %+v", shape), func(t *testing.T) {
			c := newUpCase(shape, uint64(i), eighths)
			equalResults(t, results{y: store(graph.BF16, c.y), dx: store(graph.BF16, c.dx), dw: store(graph.F32, c.dw), db: store(graph.F32, c.db)},
				c.compute(s, p, graph.BF16))
		})
	}
}

// equalResults requires equal results; y, dx and dx2 are rounded to bf16 once.
func equalResults(t *testing.T, want, got results) {
	t.Helper()
	equal(t, "y", values(want.y), got.y)
	equal(t, "dx", values(want.dx), got.dx)
	equal(t, "dx2", values(want.dx2), got.dx2)
	equal(t, "dw", values(want.dw), got.dw)
	equal(t, "db", values(want.db), got.db)
}

func TestEmulatedKernelsForBF16AreWithinTheRoundingOfTheirSums(t *testing.T) {
	s, p, one := emulatedPairs(), newPool(3), newPool(1)
	defer p.close()
	defer one.close()
	for i, shape := range shapes() {
		if i%2 == 0 {
			continue // the emulator is slow
		}
		t.Run(fmt.Sprintf("%+v", shape), func(t *testing.T) {
			c := newCase(shape, 14, normalBF16)
			r := c.compute(s, p, graph.BF16)
			c.check(t, r)
			require.Equal(t, c.compute(s, one, graph.BF16), r, "one worker and three")
		})
	}
}

// normalBF16 are values with a normal distribution that bf16 stores exactly.
func normalBF16(r *rand.Rand, n int) []float64 {
	v := normal(r, n)
	for i, x := range v {
		v[i] = float64(half.FromBF16(half.ToBF16(float32(x))))
	}
	return v
}

func TestEmulatedTilesForBF16EqualPlainSums(t *testing.T) { checkPairTiles(t, emulatedPairs()) }

func TestTilesForBF16EqualPlainSums(t *testing.T) {
	for _, s := range isas() {
		if s.pairs != nil {
			checkPairTiles(t, s.pairs)
			return
		}
	}
	t.Skip("this processor has no instruction for bf16; the emulator has run the kernels")
}

// checkPairTiles compares all tiles, sums and pairs of s with plain loops.
func checkPairTiles(t *testing.T, s *isa) {
	for nv := 1; nv <= s.vectors; nv++ {
		for k := 1; k <= 7; k++ {
			for mr := 1; mr <= s.rows[nv]; mr++ {
				checkPairTile(t, "gather", s.gather[nv][mr], mr, nv*s.lanes, k)
				checkPairTile(t, "outer", s.outer[nv][mr], mr, nv*s.lanes, k)
			}
			checkPairTile(t, "sum", s.sum[nv], 1, nv*s.lanes, k)
		}
	}
}

// checkPairTile is checkTile for kernels of pairs.
func checkPairTile(t *testing.T, kind string, kernel func(*tile), mr, nr, k int) {
	t.Helper()
	const aStep, tiles = 3 * maxRows, 2
	r := rand.New(rand.NewPCG(uint64(mr*nr), uint64(k)))
	a, b := store(graph.BF16, eighths(r, 2*aStep*64)), store(graph.BF16, eighths(r, 2*64*nr))
	av, bv := values(a), values(b)
	init := store(graph.F32, eighths(r, nr)).f32
	segs := []segment{
		{unsafe.Pointer(&a.u16[0]), unsafe.Pointer(&b.u16[0])},
		{unsafe.Pointer(&a.u16[2*3]), unsafe.Pointer(&b.u16[2*8*nr])},
	}
	c := make([]float32, tiles*mr*nr)
	x := &tile{
		seg: &segs[0], n: 2, k: k, tiles: tiles, aOff: 4, aStep: aStep * 4, bStep: nr * 4, c: &c[0], cStep: nr * 4, init: &init[0],
	}
	kernel(x)
	x.tiles, x.aOff, x.cOff, x.init = tiles, 4, 0, nil
	kernel(x)
	if kind == "gather" {
		checkRows(t, kernel, x, &init[0], mr, nr)
	}
	rows := tiles * mr
	if kind == "sum" {
		rows = 1
	}
	for i := range rows {
		for j := range nr {
			want := float64(init[j])
			for s, first := range []int{1, 4} {
				for l := range k {
					for q := range 2 {
						w := 2 * bv[2*(s*8*nr+l*nr+j)+q]
						switch kind {
						case "gather":
							w *= av[2*(first+i*aStep+l)+q]
						case "outer":
							w *= av[2*(first+l*aStep+i)+q]
						}
						want += w
					}
				}
			}
			require.Equal(t, float32(want), c[i*nr+j], "%s %dx%d k %d: c[%d][%d]", kind, mr, nr, k, i, j)
		}
	}
}

// paired is a device whose operands in bf16 go through emulated kernels.
type paired struct{ backend.Device }

// Limits leaves out f16, which has nothing of its own here.
func (d paired) Limits() backend.Limits {
	l := d.Device.Limits()
	l.F16 = false
	return l
}

func TestConformanceOfEmulatedBF16(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	backendtest.Run(t, func(testing.TB) backend.Device {
		d := Open(Options{Workers: 2}).(*device)
		s := *d.isa
		s.pairs = emulatedPairs()
		d.isa = &s
		return paired{d}
	})
}
