package backendtest

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// unit is the unit roundoff of float32: rounding changes a value by at most
// this share of it.
const unit = 0x1p-24

// num is a result of the oracle: the value v of the formula, computed in
// float64, and e, the error in units of the roundoff that float32 arithmetic
// may have made on the way, in any order of the operations. e is carried along
// by first-order error analysis: each operation hands on the errors of its
// operands and adds its own.
type num struct{ v, e float64 }

// exact is a value without error: an input or a constant.
func exact(v float64) num { return num{v: v} }

// sum adds terms. n terms of magnitudes |t| contribute
//
//	(4 + 2√n)·Σ|t|
//
// beside their own errors: rounding errors are independent, so those of n
// additions grow with √n; 2 is two standard deviations and 4 covers the products
// that the terms are, and sums of few terms.
type sum struct {
	v, mag, e float64
	n         int
}

func (s *sum) add(t num) {
	s.v += t.v
	s.mag += math.Abs(t.v)
	s.e += t.e
	s.n++
}

// mul adds a product, whose own rounding is in the factor of the sum.
func (s *sum) mul(a, b num) {
	v := a.v * b.v
	s.v += v
	s.mag += math.Abs(v)
	s.e += math.Abs(a.v)*b.e + math.Abs(b.v)*a.e + unit*a.e*b.e
	s.n++
}

func (s *sum) num() num {
	return num{s.v, s.e + s.mag*(4+2*math.Sqrt(float64(s.n)))}
}

func total(terms ...num) num {
	var s sum
	for _, t := range terms {
		s.add(t)
	}
	return s.num()
}

func (a num) neg() num { return num{-a.v, a.e} }

// minus is one subtraction.
func (a num) minus(b num) num {
	v := a.v - b.v
	return num{v, a.e + b.e + math.Abs(v)}
}

func (a num) times(b num) num {
	v := a.v * b.v
	return num{v, math.Abs(a.v)*b.e + math.Abs(b.v)*a.e + unit*a.e*b.e + math.Abs(v)}
}

// over is a quotient; WGSL, the loosest of the languages of the backends, lets
// it be wrong by 2.5 ULP (WGSL §15.7.4.1), which are 5 units.
func (a num) over(b num) num {
	v := a.v / b.v
	return num{v, (a.e+math.Abs(v)*b.e)/math.Abs(b.v) + 5*math.Abs(v)}
}

// monotone applies f, of which the device knows own units, to the interval of a
// cut at lowest, where f begins.
func (a num) monotone(f func(float64) float64, lowest, own float64) num {
	v := f(a.v)
	lo, hi := f(max(lowest, a.v-unit*a.e)), f(a.v+unit*a.e)
	return num{v, max(math.Abs(v-lo), math.Abs(hi-v))/unit + own}
}

// exp is wrong by 3 + 2|x| ULP in WGSL.
func (a num) exp() num {
	return a.monotone(math.Exp, math.Inf(-1), 2*(3+2*math.Abs(a.v))*math.Exp(a.v))
}

// log is wrong by 2^-21 between ½ and 2 and by 3 ULP elsewhere in WGSL.
func (a num) log() num {
	own := 6 * math.Abs(math.Log(a.v))
	if a.v >= 0.5 && a.v <= 2 {
		own = 0x1p-21 / unit
	}
	return a.monotone(math.Log, math.SmallestNonzeroFloat64, own)
}

// pow is exp(y·log x), which is how devices compute it; 0 stays 0.
func (a num) pow(y float64) num {
	f := func(x float64) float64 { return math.Pow(x, y) }
	own := 0.0
	if a.v > 0 {
		l := exact(a.v).log()
		own = exact(y).times(l).exp().e
	}
	return a.monotone(f, 0, own)
}

// sqrt is 1/inverseSqrt in WGSL: 2.5 + 2 ULP.
func (a num) sqrt() num { return a.monotone(math.Sqrt, 0, 9*math.Sqrt(a.v)) }

// rsqrt is a root and a quotient on a CPU, inverseSqrt on a GPU.
func (a num) rsqrt() num {
	f := func(x float64) float64 { return 1 / math.Sqrt(x) }
	return a.monotone(f, math.SmallestNonzeroFloat64, 9*f(a.v))
}

// bound is f of a, where f bends but does not stretch (minimum, maximum, clamp).
func (a num) bound(f func(float64) float64) num { return num{f(a.v), a.e} }

// leaky is the leaky ReLU.
func (a num) leaky(slope float32) num {
	if s := float64(slope); a.v < 0 {
		return num{s * a.v, max(1, math.Abs(s))*a.e + math.Abs(s*a.v)}
	}
	return a
}

// unsure says that rounding may have changed the sign of a.
func (a num) unsure() bool { return a.e > 0 && math.Abs(a.v) <= unit*a.e }

// within is a, or anything near it by d.
func (a num) within(d float64) num { return num{a.v, a.e + d/unit} }

// anything is a result that the definition leaves open.
var anything = num{0, math.Inf(1)}

// round is v as dtype stores it: to the nearest value, ties to even, infinite
// beyond the largest.
func round(d graph.DType, v float64) float64 {
	switch d {
	case graph.F16: // 11 bits, exponents -14…15
		return roundBits(v, 11, -14, 65504)
	case graph.BF16: // 8 bits, the exponents of f32
		return roundBits(v, 8, -126, 0x1.fep127)
	case graph.U8:
		return math.Min(255, math.Max(0, v))
	}
	return float64(float32(v))
}

// roundBits keeps bits of the significand, fewer below 2^low.
func roundBits(v float64, bits, low int, largest float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	_, e := math.Frexp(v) // |v| in [2^(e-1), 2^e)
	step := math.Ldexp(1, max(e-1, low)-bits+1)
	r := math.RoundToEven(v/step) * step
	if math.Abs(r) > largest {
		return math.Inf(int(math.Copysign(1, v)))
	}
	return r
}

// flush is what a device may lose below the smallest normal f32: subnormals may
// be flushed to zero.
const flush = 0x1p-126

// accepts says whether got is what a device may store for w: rounding is
// monotone, so that a float32 result within the error of w is stored between
// the bounds of w, rounded. A w without error admits one value.
func accepts(d graph.DType, w num, got float64) bool {
	switch {
	case math.IsInf(w.e, 1):
		return true
	case w.e == 0 || math.IsInf(w.v, 0):
		return got == round(d, w.v)
	}
	t := unit*w.e + flush
	return got >= round(d, w.v-t) && got <= round(d, w.v+t)
}
