package backendtest

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

func TestEveryHalfIsItself(t *testing.T) {
	for b := range 1 << 16 {
		v := halfValue(uint16(b))
		if math.IsNaN(v) {
			continue
		}
		require.Equal(t, v, round(graph.F16, v))
		require.Equal(t, uint16(b), halfBits(v), "%x", b)
	}
}

func TestEveryBF16IsItself(t *testing.T) {
	for b := range 1 << 16 {
		v := float64(math.Float32frombits(uint32(b) << 16))
		if math.IsNaN(v) || math.Abs(v) < 0x1p-126 && v != 0 { // below: fewer bits, checked as f32 is
			continue
		}
		require.Equal(t, v, round(graph.BF16, v))
	}
}

func TestRoundingGoesToTheNearestAndTiesToEven(t *testing.T) {
	for _, c := range []struct {
		d       graph.DType
		v, want float64
	}{
		{graph.F16, 2049, 2048},
		{graph.F16, 2051, 2052},
		{graph.F16, 65519, 65504},
		{graph.F16, 65520, math.Inf(1)},
		{graph.F16, -1e9, math.Inf(-1)},
		{graph.F16, 0x1p-25, 0},
		{graph.F16, 0x1.8p-25, 0x1p-24},
		{graph.BF16, 257, 256},
		{graph.BF16, 259, 260},
		{graph.BF16, 257.001, 258},
		{graph.BF16, math.MaxFloat32, math.Inf(1)},
		{graph.F32, 16777217, 16777216},
	} {
		assert.Equal(t, c.want, round(c.d, c.v), "%v of %v", c.d, c.v)
	}
}

func TestComparatorNoticesPlantedErrors(t *testing.T) {
	w := num{1, 8} // 1 ± 2^-21
	for _, d := range []graph.DType{graph.F32, graph.F16, graph.BF16} {
		assert.True(t, accepts(d, w, 1), d)
		assert.False(t, accepts(d, w, math.NaN()), d)
		assert.False(t, accepts(d, w, math.Inf(1)), d)
		assert.False(t, accepts(d, w, -1), d)
	}
	assert.True(t, accepts(graph.F32, w, 1+0x1p-21))
	assert.False(t, accepts(graph.F32, w, 1+0x1p-20))
	assert.False(t, accepts(graph.F16, w, 1+0x1p-10), "the next half is too far")
	assert.False(t, accepts(graph.BF16, w, 1+0x1p-7), "the next bf16 is too far")
	half := num{1 + 0x1p-11, 8} // between two halves: either
	assert.True(t, accepts(graph.F16, half, 1))
	assert.True(t, accepts(graph.F16, half, 1+0x1p-10))
	assert.False(t, accepts(graph.F16, half, 1-0x1p-11))
	assert.False(t, accepts(graph.F32, exact(1), 1+0x1p-23), "one place is too much for an exact result")
	assert.True(t, accepts(graph.F32, anything, math.NaN()))
	assert.True(t, accepts(graph.F16, num{1e6, 10}, math.Inf(1)), "overflow in the store")
	assert.False(t, accepts(graph.F16, num{60000, 10}, math.Inf(1)))
}

// Float32 arithmetic in several orders stays within the error that sum states,
// and the error is not idle: it is within a hundred of what happens.
func TestSumsStayWithinTheirError(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 2, 10, 100, 10000} {
		worst := 0.0
		for range 50 {
			var s sum
			forward, lanes := float32(0), [8]float32{}
			for i := range n {
				a, b := float32(r.NormFloat64()), float32(r.NormFloat64())
				s.mul(exact(float64(a)), exact(float64(b)))
				forward += a * b
				lanes[i%8] += a * b
			}
			var tree float32
			for _, l := range lanes {
				tree += l
			}
			w := s.num()
			require.True(t, accepts(graph.F32, w, float64(forward)))
			require.True(t, accepts(graph.F32, w, float64(tree)))
			worst = max(worst, math.Abs(float64(forward)-w.v)/(unit*w.e))
		}
		assert.Greater(t, worst, 0.01/math.Sqrt(float64(n)), n)
	}
}

// Each function of num, computed in float32 from operands that are off by their
// error, stays within the error of the result.
func TestFunctionsStayWithinTheirError(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	off := func(a num) float32 { return float32(a.v + unit*a.e*(2*r.Float64()-1)) }
	for range 2000 {
		a := num{float64(float32(r.NormFloat64() * 3)), 20 * r.Float64()}
		b := num{float64(float32(0.1 + 3*r.Float64())), 20 * r.Float64()}
		fa, fb := off(a), off(b)
		for name, c := range map[string]struct {
			want num
			got  float32
		}{
			"minus": {a.minus(b), fa - fb},
			"times": {a.times(b), fa * fb},
			"over":  {a.over(b), fa / fb},
			"exp":   {a.exp(), float32(math.Exp(float64(fa)))},
			"log":   {b.log(), float32(math.Log(float64(fb)))},
			"pow":   {b.pow(2), fb * fb},
			"sqrt":  {b.sqrt(), float32(math.Sqrt(float64(fb)))},
			"rsqrt": {b.rsqrt(), 1 / float32(math.Sqrt(float64(fb)))},
			"leaky": {a.leaky(0.01), max(fa, 0.01*fa)},
		} {
			require.True(t, accepts(graph.F32, c.want.within(unit*math.Abs(c.want.v)), float64(c.got)), "%s of %v, %v: %v, wanted %v", name, a, b, c.got, c.want)
		}
	}
}

// The known answers of Random123's kat_vectors.
func TestPhiloxGivesThePublishedNumbers(t *testing.T) {
	for _, c := range []struct {
		counter uint64
		key     uint32
		a, b    uint32
	}{
		{0, 0, 0xff1dae59, 0x6cd10df2},
		{0xffffffffffffffff, 0xffffffff, 0x2c3f628b, 0xab4fd7ad},
		{0x85a308d3243f6a88, 0x13198a2e, 0xdd7ce038, 0xf62a4c12},
	} {
		a, b := philox(c.counter, c.key)
		assert.Equal(t, []uint32{c.a, c.b}, []uint32{a, b})
		a, b = graph.Random(c.counter, c.key)
		assert.Equal(t, []uint32{c.a, c.b}, []uint32{a, b}, "graph.Random")
	}
}
