package wasm

import (
	"encoding/binary"
	"math"
)

// X is code that leaves a value on the stack; stores and the like leave none.
type X []byte

const opI32Const = 0x41

// I is a constant i32.
func I(v int) X { return sleb([]byte{opI32Const}, int64(int32(v))) }

// F is a constant f32.
func F(v float32) X {
	return binary.LittleEndian.AppendUint32([]byte{0x43}, math.Float32bits(v))
}

// D is a constant f64.
func D(v float64) X {
	return binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(v))
}

// join is an instruction behind its operands.
func join(op []byte, operands ...X) X {
	n := len(op)
	for _, x := range operands {
		n += len(x)
	}
	r := make(X, 0, n)
	for _, x := range operands {
		r = append(r, x...)
	}
	return append(r, op...)
}

// unary and dyadic are instructions of one byte, vector those of the
// vector extension.
func unary(op byte) func(a X) X     { return func(a X) X { return join([]byte{op}, a) } }
func dyadic(op byte) func(a, b X) X { return func(a, b X) X { return join([]byte{op}, a, b) } }

func vector(op int) func(a, b X) X {
	return func(a, b X) X { return simd(op, a, b) }
}

func simd(op int, operands ...X) X { return join(uleb([]byte{0xFD}, op), operands...) }

// is tells whether x is the constant v.
func is(x X, v int) bool { return Same(x, I(v)) }

// Add is a sum of i32, without constants 0.
func Add(a X, more ...X) X {
	for _, b := range more {
		switch {
		case is(a, 0):
			a = b
		case !is(b, 0):
			a = join([]byte{0x6A}, a, b)
		}
	}
	return a
}

// Mul is a product of i32, without constants 0 and 1.
func Mul(a, b X) X {
	switch {
	case is(a, 0) || is(b, 0):
		return I(0)
	case is(a, 1):
		return b
	case is(b, 1):
		return a
	}
	return join([]byte{0x6C}, a, b)
}

// Arithmetic and comparisons of i32: U without a sign, S with one.
var (
	Sub  = dyadic(0x6B)
	DivU = dyadic(0x6E)
	RemU = dyadic(0x70)
	And  = dyadic(0x71)
	Or   = dyadic(0x72)
	Eqz  = unary(0x45)
	Eq   = dyadic(0x46)
	Ne   = dyadic(0x47)
	LtS  = dyadic(0x48)
	LtU  = dyadic(0x49)
	GeU  = dyadic(0x4F)
)

// Select is a where cond is not 0, else b.
func Select(cond, a, b X) X { return join([]byte{0x1B}, a, b, cond) }

// Min is the smaller of two i32 with sign; both are evaluated twice.
func Min(a, b X) X { return Select(LtS(a, b), a, b) }

// Max is the larger of two i32 with sign; both are evaluated twice.
func Max(a, b X) X { return Select(LtS(a, b), b, a) }

// Arithmetic and comparisons of f32 (F), f64 (D) and vectors of four f32 (V).
var (
	AddF  = dyadic(0x92)
	SubF  = dyadic(0x93)
	MulF  = dyadic(0x94)
	DivF  = dyadic(0x95)
	EqF   = dyadic(0x5B)
	GtF   = dyadic(0x5E)
	AddD  = dyadic(0xA0)
	SubD  = dyadic(0xA1)
	MulD  = dyadic(0xA2)
	DivD  = dyadic(0xA3)
	MaxD  = dyadic(0xA5)
	SqrtD = unary(0x9F)
	AddV  = vector(0xE4)
	SubV  = vector(0xE5)
	MulV  = vector(0xE6)
	GeV   = vector(0x46)
)

// Conversions.
var (
	ToF    = unary(0xB2) // i32 to f32
	ToD    = unary(0xB7) // i32 to f64
	Widen  = unary(0xBB) // f32 to f64
	Narrow = unary(0xB6) // f64 to f32
)

// Trunc is an f32 without its fraction as an i32, cut off at the ends of what an
// i32 holds; NaN is 0.
func Trunc(a X) X { return join([]byte{0xFC, 0x00}, a) }

// SplatF is four times an f32.
func SplatF(a X) X { return simd(0x13, a) }

// PMaxV is a < b ? b : a, lane by lane.
func PMaxV(a, b X) X { return simd(0xEB, a, b) }

// ChooseV takes the bits of a where mask has ones, else those of b.
func ChooseV(mask, a, b X) X { return simd(0x52, a, b, mask) }

// MaddV is a·b + c, which a machine may round once or twice.
func MaddV(a, b, c X) X { return simd(0x105, a, b, c) }

// ZeroV is four zeros.
func ZeroV() X { return append(X{0xFD, 0x0C}, make([]byte, 16)...) }

// memory is a load or store; align is the logarithm of the alignment that it
// may assume. The constant off is added to the address without wrapping.
func memory(op []byte, align, off int, operands ...X) X {
	return join(uleb(uleb(op, align), off), operands...)
}

// load and store are those of i32, f32 and bytes.
func load(op byte, align int) func(p X, off int) X {
	return func(p X, off int) X { return memory([]byte{op}, align, off, p) }
}

func store(op byte, align int) func(p X, off int, v X) X {
	return func(p X, off int, v X) X { return memory([]byte{op}, align, off, p, v) }
}

// Loads and stores at p + off.
var (
	LoadI  = load(0x28, 2)
	LoadF  = load(0x2A, 2)
	LoadU8 = load(0x2D, 0)
	StoreI = store(0x36, 2)
	StoreF = store(0x38, 2)
	Store8 = store(0x3A, 0)
)

// LoadV is the four f32 from p on.
func LoadV(p X, off int) X { return memory([]byte{0xFD, 0x00}, 2, off, p) }

// LoadSplat is four times the f32 at p.
func LoadSplat(p X, off int) X { return memory([]byte{0xFD, 0x09}, 2, off, p) }

// StoreV stores the first n lanes of v, a variable.
func StoreV(p X, off int, v X, n int) X {
	lanes := func(op byte, off, lane int) X {
		return join(append(uleb(uleb([]byte{0xFD, op}, 2), off), byte(lane)), p, v)
	}
	switch n {
	case 1:
		return lanes(0x5A, off, 0)
	case 2:
		return lanes(0x5B, off, 0)
	case 3:
		return append(lanes(0x5B, off, 0), lanes(0x5A, off+8, 2)...)
	}
	return memory([]byte{0xFD, 0x0B}, 2, off, p, v)
}

// Copy moves n bytes.
func Copy(dst, src, n X) X { return join([]byte{0xFC, 0x0A, 0, 0}, dst, src, n) }

// Clear zeroes n bytes.
func Clear(dst, n X) X { return join([]byte{0xFC, 0x0B, 0}, dst, I(0), n) }

// atomic is an operation on an aligned i32 that threads share.
func atomic(op byte, off int, operands ...X) X {
	return memory([]byte{0xFE, op}, 2, off, operands...)
}

// AtomicAdd is the value at p before v was added.
func AtomicAdd(p X, off int, v X) X { return atomic(0x1E, off, p, v) }

// AtomicLoad is the value at p.
func AtomicLoad(p X, off int) X { return atomic(0x10, off, p) }

// AtomicStore stores v at p.
func AtomicStore(p X, off int, v X) X { return atomic(0x17, off, p, v) }

// Notify wakes all that wait at p and is their number.
func Notify(p X, off int) X { return atomic(0x00, off, p, I(-1)) }

// Wait sleeps for as long as the value at p is old; it is how it woke.
func Wait(p X, off int, old X) X { return atomic(0x01, off, p, old, X{0x42, 0x7F}) }
