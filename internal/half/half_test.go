package half

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// valueF16 and valueBF16 are the definitions of the formats.
func valueF16(h uint16) float64  { return value(h, 5, 10) }
func valueBF16(h uint16) float64 { return value(h, 8, 7) }

func value(h uint16, exponentBits, fractionBits int) float64 {
	bias := 1<<(exponentBits-1) - 1
	e := int(h) >> fractionBits & (1<<exponentBits - 1)
	f := float64(int(h) & (1<<fractionBits - 1))
	scale := math.Ldexp(1, -fractionBits)
	var v float64
	switch e {
	case 1<<exponentBits - 1:
		v = math.Inf(1)
		if f != 0 {
			return math.NaN()
		}
	case 0:
		v = math.Ldexp(f*scale, 1-bias)
	default:
		v = math.Ldexp(1+f*scale, e-bias)
	}
	if h&0x8000 != 0 {
		v = -v
	}
	return v
}

var formats = []struct {
	name   string
	to     func(float32) uint16
	from   func(uint16) float32
	value  func(uint16) float64
	inf    uint16
	quiet  uint16
	beyond float64 // the value that would follow the largest finite one
}{
	{"float16", ToF16, FromF16, valueF16, 0x7c00, 0x0200, 0x1p16},
	{"bfloat16", ToBF16, FromBF16, valueBF16, 0x7f80, 0x0040, 0x1p128},
}

func TestWideningIsTheDefinitionForAllPatterns(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			for i := range 1 << 16 {
				h := uint16(i)
				want, got := f.value(h), float64(f.from(h))
				if math.IsNaN(want) {
					require.True(t, math.IsNaN(got), "%#04x", h)
					continue
				}
				require.Equal(t, math.Float64bits(want), math.Float64bits(got), "%#04x", h)
			}
		})
	}
}

func TestNarrowingUndoesWideningForAllPatterns(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			for i := range 1 << 16 {
				h := uint16(i)
				want := h
				if h&0x7fff > f.inf {
					want |= f.quiet
				}
				require.Equal(t, want, f.to(f.from(h)), "%#04x", h)
			}
		})
	}
}

// Between each two neighbours a < b: the middle goes to the even one, and the
// float32 on either side of the middle to the nearer one.
func TestNarrowingRoundsToNearestEvenBetweenAllNeighbours(t *testing.T) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			for a := uint16(0); a < f.inf; a++ {
				b := a + 1
				hi := f.value(b)
				if b == f.inf {
					hi = f.beyond
				}
				middle := float32((f.value(a) + hi) / 2)
				even := a + a&1
				below := math.Nextafter32(middle, 0)
				above := math.Nextafter32(middle, float32(math.Inf(1)))
				for _, sign := range []uint16{0, 0x8000} {
					s := float32(1)
					if sign != 0 {
						s = -1
					}
					require.Equal(t, even|sign, f.to(s*middle), "middle above %#04x", a)
					require.Equal(t, a|sign, f.to(s*below), "below the middle above %#04x", a)
					require.Equal(t, b|sign, f.to(s*above), "above the middle above %#04x", a)
				}
			}
		})
	}
}

func TestTinyHugeAndInfiniteValues(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, f := range formats {
		assert.Equal(t, f.inf, f.to(inf), f.name)
		assert.Equal(t, f.inf|0x8000, f.to(-inf), f.name)
		assert.Equal(t, f.inf, f.to(math.MaxFloat32), f.name)
		assert.Equal(t, uint16(0), f.to(math.SmallestNonzeroFloat32), f.name)
		assert.Equal(t, uint16(0x8000), f.to(float32(math.Copysign(0, -1))), f.name)
	}
}

func TestNaNKeepsSignAndUpperPayload(t *testing.T) {
	signalling := math.Float32frombits(0xff80_0001)
	assert.Equal(t, uint16(0xfe00), ToF16(signalling))
	assert.Equal(t, uint16(0xffc0), ToBF16(signalling))
	payload := math.Float32frombits(0x7fd4_0000)
	assert.Equal(t, uint16(0x7ea0), ToF16(payload))
	assert.Equal(t, uint16(0x7fd4), ToBF16(payload))
}

// The hashes are of what Python's struct module makes of the same values with
// the codes e and f; NaNs are written as 0 and left out where narrowed.
func TestFloat16EqualsPythonStruct(t *testing.T) {
	wide := make([]byte, 0, 4<<16)
	for i := range 1 << 16 {
		v := FromF16(uint16(i))
		if v != v {
			v = 0
		}
		wide = binary.LittleEndian.AppendUint32(wide, math.Float32bits(v))
	}
	assert.Equal(t, "faa6d965574036872b0d39a42d1f8bee361d5be92b1e718155a69556a5abacdd", hash(wide))

	var narrow []byte
	add := func(bits uint32) {
		if v := math.Float32frombits(bits); v == v {
			narrow = binary.LittleEndian.AppendUint16(narrow, ToF16(v))
		}
	}
	for upper := range uint32(1 << 19) {
		if upper%8 != 0 {
			add(upper<<12 | uint32(uint64(upper)*2654435761>>7)&0xfff)
			continue
		}
		for _, lower := range []uint32{0, 1, 0xfff, 0x800} {
			add(upper<<12 | lower)
		}
	}
	assert.Equal(t, "391f65af0e4c46574a09fce790002f45690ef1940ca1bb823f3baefd6caeb206", hash(narrow))
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func TestSlicesEqualScalarsAndDoNotAllocate(t *testing.T) {
	src := make([]float32, 1000)
	for i := range src {
		src[i] = float32(math.Sin(float64(i))) * float32(math.Ldexp(1, i%40-20))
	}
	bits := make([]uint16, len(src)+1)
	back := make([]float32, len(src)+1)
	forms := []struct {
		encode func([]uint16, []float32)
		decode func([]float32, []uint16)
		to     func(float32) uint16
		from   func(uint16) float32
	}{
		{EncodeF16, DecodeF16, ToF16, FromF16},
		{EncodeBF16, DecodeBF16, ToBF16, FromBF16},
	}
	for _, f := range forms {
		assert.Zero(t, testing.AllocsPerRun(3, func() {
			f.encode(bits, src)
			f.decode(back, bits[:len(src)])
		}))
		for i, x := range src {
			require.Equal(t, f.to(x), bits[i])
			require.Equal(t, f.from(bits[i]), back[i])
		}
		assert.Zero(t, bits[len(src)], "beyond the source")
	}
}

func BenchmarkEncodeF16(b *testing.B) { benchmarkEncode(b, EncodeF16) }

func BenchmarkEncodeBF16(b *testing.B) { benchmarkEncode(b, EncodeBF16) }

func benchmarkEncode(b *testing.B, encode func([]uint16, []float32)) {
	src, dst := make([]float32, 1<<16), make([]uint16, 1<<16)
	for i := range src {
		src[i] = float32(i)
	}
	b.SetBytes(4 << 16)
	for b.Loop() {
		encode(dst, src)
	}
}
