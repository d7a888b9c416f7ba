// Package half converts between float32 and the two 16-bit floating-point
// formats: float16 (IEEE 754 binary16: 5 exponent and 10 fraction bits) and
// bfloat16 (the upper half of a float32: 8 exponent and 7 fraction bits).
//
// Narrowing rounds to the nearest value, ties to the even fraction; values
// beyond the largest finite one become infinite; subnormals are kept. A NaN
// keeps its sign and the upper bits of its payload and becomes quiet, as the
// conversions of x86 and Arm processors do. Widening is exact.
package half

import "math"

// Bits of the formats.
const (
	f32Abs = 0x7fffffff // all but the sign
	f32Inf = 0x7f800000

	f16Sign  = 0x8000
	f16Inf   = 0x7c00
	f16Quiet = 0x0200

	bf16Quiet = 0x0040
)

// ToF16 rounds x to float16.
func ToF16(x float32) uint16 {
	b := math.Float32bits(x)
	sign := uint16(b>>16) & f16Sign
	b &= f32Abs
	switch {
	case b > f32Inf:
		return sign | f16Inf | f16Quiet | uint16(b>>13)&0x3ff
	case b >= 0x477ff000: // 65520, half way from 65504, the largest, to 2^16
		return sign | f16Inf
	case b >= 0x38800000: // 2^-14, the smallest normal
		b += 0xfff + b>>13&1
		return sign | uint16((b-112<<23)>>13) // 112 = bias 127 - bias 15
	}
	// The last place of a float32 in [0.5, 1) is 2^-24, a subnormal's step.
	return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-0x3f000000)
}

// FromF16 is the value of the float16 with bits h.
func FromF16(h uint16) float32 {
	sign := uint32(h&f16Sign) << 16
	fraction := uint32(h & 0x3ff)
	switch h & f16Inf {
	case f16Inf:
		if fraction != 0 {
			fraction |= f16Quiet
		}
		return math.Float32frombits(sign | f32Inf | fraction<<13)
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(fraction)*0x1p-24))
	}
	return math.Float32frombits(sign | uint32(h&0x7fff)<<13 + 112<<23)
}

// ToBF16 rounds x to bfloat16.
func ToBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if b&f32Abs > f32Inf {
		return uint16(b>>16) | bf16Quiet
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromBF16 is the value of the bfloat16 with bits h.
func FromBF16(h uint16) float32 {
	return math.Float32frombits(uint32(h) << 16)
}

// EncodeF16 rounds src to float16 into dst, which is at least as long.
func EncodeF16(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	for i, x := range src {
		dst[i] = ToF16(x)
	}
}

// DecodeF16 widens the float16 of src into dst, which is at least as long.
func DecodeF16(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, h := range src {
		dst[i] = FromF16(h)
	}
}

// EncodeBF16 rounds src to bfloat16 into dst, which is at least as long.
func EncodeBF16(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	for i, x := range src {
		dst[i] = ToBF16(x)
	}
}

// DecodeBF16 widens the bfloat16 of src into dst, which is at least as long.
func DecodeBF16(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, h := range src {
		dst[i] = FromBF16(h)
	}
}
