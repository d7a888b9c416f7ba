package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

// convCase is the data of one convolution: inputs, the gradient of the output,
// and what a naive loop in float64 makes of them.
type convCase struct {
	convShape
	x, x2, w, b, dy        []float64
	y, dx, dx2, dw, db     []float64
	yMag, dxMag, dwMag     []float64 // sums of |terms|
	dx2Mag, dbMag          []float64
	yTerms, dxTerms, terms int // most terms of a sum
}

// eighths are values k/8 with |k| <= 8: sums of their products are exact in f32
// in any order, and they are exact in f16 and bf16.
func eighths(r *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(r.IntN(17)-8) / 8
	}
	return v
}

// normal are f32 values with a normal distribution.
func normal(r *rand.Rand, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(float32(r.NormFloat64()))
	}
	return v
}

// newCase draws inputs and computes the expected outputs.
func newCase(s convShape, seed uint64, draw func(*rand.Rand, int) []float64) *convCase {
	r := rand.New(rand.NewPCG(seed, 1))
	c, o := &convCase{convShape: s}, s.out()
	cin, taps := s.C1+s.C2, size(s.Kernel).volume()
	vi, vo := s.N*size(s.In).volume(), s.N*o.volume()
	c.x, c.x2 = draw(r, vi*s.C1), draw(r, vi*s.C2)
	c.w, c.b, c.dy = draw(r, taps*cin*s.Co), draw(r, s.Co), draw(r, vo*s.Co)
	c.y, c.yMag = make([]float64, vo*s.Co), make([]float64, vo*s.Co)
	c.dx, c.dxMag = make([]float64, vi*s.C1), make([]float64, vi*s.C1)
	c.dx2, c.dx2Mag = make([]float64, vi*s.C2), make([]float64, vi*s.C2)
	c.dw, c.dwMag = make([]float64, len(c.w)), make([]float64, len(c.w))
	c.db, c.dbMag = make([]float64, s.Co), make([]float64, s.Co)
	c.yTerms, c.dxTerms, c.terms = taps*cin+1, taps*s.Co, vo
	for i, dy := range c.dy {
		c.y[i], c.yMag[i] = c.b[i%s.Co], math.Abs(c.b[i%s.Co])
		c.db[i%s.Co] += dy
		c.dbMag[i%s.Co] += math.Abs(dy)
	}
	c.eachTap(func(in, out, tap int) {
		for ci := range cin {
			x, dx, dxMag, at := c.x, c.dx, c.dxMag, in*s.C1+ci
			if ci >= s.C1 {
				x, dx, dxMag, at = c.x2, c.dx2, c.dx2Mag, in*s.C2+ci-s.C1
			}
			for co := range s.Co {
				w, y := (tap*cin+ci)*s.Co+co, out*s.Co+co
				c.y[y] += x[at] * c.w[w]
				c.yMag[y] += math.Abs(x[at] * c.w[w])
				dx[at] += c.dy[y] * c.w[w]
				dxMag[at] += math.Abs(c.dy[y] * c.w[w])
				c.dw[w] += c.dy[y] * x[at]
				c.dwMag[w] += math.Abs(c.dy[y] * x[at])
			}
		}
	})
	return c
}

// eachTap calls f for all pairs of an input and an output voxel that a tap
// joins.
func (c *convCase) eachTap(f func(in, out, tap int)) {
	o, k := c.out(), size(c.Kernel)
	for out := range c.N * o.volume() {
		n, d, h, w := out/o.volume(), out/(o[1]*o[2])%o[0], out/o[2]%o[1], out%o[2]
		for tap := range k.volume() {
			at, inside := [3]int{d, h, w}, true
			for i, t := range [3]int{tap / (k[1] * k[2]), tap / k[2] % k[1], tap % k[2]} {
				at[i] = at[i]*c.Stride[i] + t - (k[i]-1)/2
				inside = inside && at[i] >= 0 && at[i] < c.In[i]
			}
			if inside {
				f(((n*c.In[0]+at[0])*c.In[1]+at[1])*c.In[2]+at[2], out, tap)
			}
		}
	}
}

// store makes a tensor of values. Storage in 16 bits rounds.
func store(d graph.DType, v []float64) tensor {
	t := blank(d, len(v))
	for i, x := range v {
		switch d {
		case graph.BF16:
			t.u16[i] = half.ToBF16(float32(x))
		case graph.F16:
			t.u16[i] = half.ToF16(float32(x))
		default:
			t.f32[i] = float32(x)
		}
	}
	return t
}

// blank is a tensor of NaN.
func blank(d graph.DType, n int) tensor {
	if d == graph.F32 {
		t := tensor{dtype: d, f32: make([]float32, n)}
		for i := range t.f32 {
			t.f32[i] = float32(math.NaN())
		}
		return t
	}
	t := tensor{dtype: d, u16: make([]uint16, n)}
	for i := range t.u16 {
		t.u16[i] = 0x7fff
	}
	return t
}

// values reads a tensor.
func values(t tensor) []float64 {
	v := make([]float64, len(t.f32)+len(t.u16))
	for i := range v {
		switch t.dtype {
		case graph.BF16:
			v[i] = float64(half.FromBF16(t.u16[i]))
		case graph.F16:
			v[i] = float64(half.FromF16(t.u16[i]))
		default:
			v[i] = float64(t.f32[i])
		}
	}
	return v
}

// poison fills the memory of p with NaN: a run must not depend on what it finds.
func (p *pool) poison() {
	fill := func(f []float32) {
		for i := range f {
			f[i] = float32(math.NaN())
		}
	}
	fill(p.shared)
	for _, w := range p.workers {
		fill(w.scratch)
	}
}

// results are the outputs of a convolution's three directions.
type results struct{ y, dx, dx2, dw, db tensor }

// compute runs all directions of c.
func (c *convCase) compute(isa *isa, p *pool, d graph.DType) results {
	v := newConv(c.convShape, isa, p, forward|gradInput|gradWeight)
	r := results{
		blank(d, len(c.y)), blank(d, len(c.dx)), blank(d, len(c.dx2)),
		blank(graph.F32, len(c.dw)), blank(graph.F32, len(c.db)),
	}
	x, x2, w, b, dy := store(d, c.x), store(d, c.x2), store(d, c.w), store(graph.F32, c.b), store(d, c.dy)
	p.poison()
	v.forward(x, x2, w, b, r.y)
	p.poison()
	v.gradInput(dy, w, r.dx, r.dx2)
	p.poison()
	v.gradWeight(dy, x, x2, r.dw.f32, r.db.f32)
	return r
}

// near requires |got-want| within the rounding of an f32 sum of terms products,
// whose magnitudes add up to mag: u*mag*(4+2*sqrt(terms)), and of a store in
// 16 bits.
func near(t *testing.T, what string, want, mag []float64, terms int, got tensor) {
	t.Helper()
	const u = 0x1p-24
	rounding := map[graph.DType]float64{graph.F32: 0, graph.F16: 0x1p-11, graph.BF16: 0x1p-8}[got.dtype]
	for i, g := range values(got) {
		limit := u*mag[i]*(4+2*math.Sqrt(float64(terms))) + rounding*math.Abs(want[i]) + 0x1p-25
		if !(math.Abs(g-want[i]) <= limit) {
			require.Failf(t, "too far", "%s[%d] is %v, want %v, off by %g, may be %g", what, i, g, want[i], g-want[i], limit)
		}
	}
}

func (c *convCase) check(t *testing.T, r results) {
	t.Helper()
	near(t, "y", c.y, c.yMag, c.yTerms, r.y)
	near(t, "dx", c.dx, c.dxMag, c.dxTerms, r.dx)
	near(t, "dx2", c.dx2, c.dx2Mag, c.dxTerms, r.dx2)
	near(t, "dw", c.dw, c.dwMag, c.terms, r.dw)
	near(t, "db", c.db, c.dbMag, c.terms, r.db)
}

// equal requires what is exact to be equal.
func equal(t *testing.T, what string, want []float64, got tensor) {
	t.Helper()
	for i, g := range values(got) {
		if g != want[i] {
			require.Failf(t, "not equal", "%s[%d] is %v, want %v", what, i, g, want[i])
		}
	}
}

// shapes are small convolutions that differ in what kernels and blocking treat
// apart.
func shapes() []convShape {
	k3, k1, s1, s2 := [3]int{3, 3, 3}, [3]int{1, 1, 1}, [3]int{1, 1, 1}, [3]int{2, 2, 2}
	list := []convShape{
		{1, [3]int{4, 5, 6}, 8, 0, 8, k3, s1},
		{2, [3]int{3, 4, 14}, 16, 0, 32, k3, s1},
		{2, [3]int{5, 4, 15}, 3, 5, 17, k3, s1},
		{1, [3]int{6, 6, 6}, 1, 0, 8, k3, s1},
		{2, [3]int{5, 6, 7}, 2, 0, 5, k3, [3]int{1, 2, 2}},
		{1, [3]int{7, 6, 5}, 16, 16, 16, k3, s1},
		{2, [3]int{6, 7, 8}, 8, 0, 16, k3, s2},
		{1, [3]int{5, 5, 5}, 20, 0, 24, k3, s2},
		{1, [3]int{1, 9, 9}, 8, 0, 8, [3]int{1, 3, 3}, [3]int{1, 2, 2}},
		{1, [3]int{4, 9, 9}, 4, 4, 8, [3]int{1, 3, 3}, s1},
		{2, [3]int{4, 6, 5}, 32, 0, 3, k1, s1},
		{1, [3]int{4, 6, 5}, 9, 0, 2, k1, s2},
		{1, [3]int{7, 7, 7}, 5, 0, 6, k3, [3]int{3, 1, 2}},
		{1, [3]int{1, 1, 1}, 8, 0, 8, k3, s2},
		{1, [3]int{2, 3, 2}, 40, 0, 33, k3, s2},
		{1, [3]int{3, 3, 3}, 90, 0, 10, k3, s1},
		{1, [3]int{2, 2, 3}, 300, 0, 8, k3, s1},
	}
	for _, w := range []int{16, 21, 35} { // rows of one channel that kernels put side by side
		list = append(list, convShape{1, [3]int{3, 4, w}, 1, 0, 8, k3, s1}, convShape{2, [3]int{2, 5, w}, 1, 0, 17, k3, [3]int{1, 1, 2}},
			convShape{1, [3]int{3, 5, w}, 1, 0, 32, k3, s2})
	}
	// Rows that a call makes several of.
	list = append(list, convShape{1, [3]int{3, 9, 27}, 1, 1, 32, k3, s1}, convShape{1, [3]int{3, 9, 27}, 2, 0, 9, k3, s2},
		convShape{1, [3]int{3, 33, 19}, 1, 0, 48, k3, s1})
	for co := 1; co <= 5; co++ { // heads: not whole steps, one step, several units, too few voxels
		for _, ci := range []int{8, 16, 32, 64} {
			list = append(list, convShape{1, [3]int{1, 5, 7}, ci, 0, co, k1, s1}, convShape{2, [3]int{1, 2, 8}, ci, 0, co, k1, s1},
				convShape{1, [3]int{1, 1, 7}, ci, 0, co, k1, s1})
		}
		list = append(list, convShape{1, [3]int{3, 37, 41}, 32, 0, co, k1, s1})
	}
	r := rand.New(rand.NewPCG(7, 7))
	for range 12 {
		s := convShape{N: 1 + r.IntN(2), C1: 1 + r.IntN(20), Co: 1 + r.IntN(40)}
		if r.IntN(3) == 0 {
			s.C2 = 1 + r.IntN(12)
		}
		for i := range 3 {
			s.In[i], s.Kernel[i], s.Stride[i] = 1+r.IntN(9), 1+2*r.IntN(2), 1+r.IntN(2)
		}
		list = append(list, s)
	}
	return list
}

// eachISA runs f for the kernels that this processor can run.
func eachISA(t *testing.T, f func(t *testing.T, isa *isa, p *pool)) {
	for _, isa := range isas() {
		t.Run(isa.name, func(t *testing.T) {
			p := newPool(2)
			defer p.close()
			f(t, isa, p)
		})
	}
}

func TestConvEqualsTheFormulaOnExactInputs(t *testing.T) {
	for _, s := range shapes() {
		c := newCase(s, 3, eighths)
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			eachISA(t, func(t *testing.T, isa *isa, p *pool) {
				for _, d := range []graph.DType{graph.F32, graph.BF16, graph.F16} {
					r := c.compute(isa.of(d), p, d)
					if d == graph.F32 {
						equal(t, "y", c.y, r.y)
						equal(t, "dx", c.dx, r.dx)
						equal(t, "dx2", c.dx2, r.dx2)
					}
					c.check(t, r)
					equal(t, "dw", c.dw, r.dw)
					equal(t, "db", c.db, r.db)
				}
			})
		})
	}
}

func TestConvIsWithinTheRoundingOfItsSums(t *testing.T) {
	for _, s := range shapes() {
		c := newCase(s, 4, normal)
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			eachISA(t, func(t *testing.T, isa *isa, p *pool) { c.check(t, c.compute(isa, p, graph.F32)) })
		})
	}
}

func TestConvHasTheSameBitsForAnyNumberOfWorkers(t *testing.T) {
	s := convShape{2, [3]int{9, 12, 13}, 16, 8, 40, [3]int{3, 3, 3}, [3]int{1, 2, 1}}
	c := newCase(s, 5, normal)
	for _, isa := range isas() {
		t.Run(isa.name, func(t *testing.T) {
			one := newPool(1)
			defer one.close()
			for _, d := range []graph.DType{graph.F32, graph.BF16} {
				want := c.compute(isa.of(d), one, d)
				for workers := 2; workers <= 7; workers++ {
					p := newPool(workers)
					require.Equal(t, want, c.compute(isa.of(d), p, d), "%d workers", workers)
					p.close()
				}
			}
		})
	}
}

func TestConvAllocatesNothing(t *testing.T) {
	s := convShape{2, [3]int{6, 6, 6}, 8, 4, 12, [3]int{3, 3, 3}, [3]int{2, 2, 2}}
	c := newCase(s, 6, normal)
	eachISA(t, func(t *testing.T, isa *isa, p *pool) {
		for _, d := range []graph.DType{graph.F32, graph.F16, graph.BF16} {
			v := newConv(s, isa.of(d), p, forward|gradInput|gradWeight)
			x, x2, w, b, dy := store(d, c.x), store(d, c.x2), store(d, c.w), store(graph.F32, c.b), store(d, c.dy)
			y, dx, dx2 := blank(d, len(c.y)), blank(d, len(c.x)), blank(d, len(c.x2))
			dw, db := make([]float32, len(c.w)), make([]float32, len(c.b))
			require.Zero(t, testing.AllocsPerRun(5, func() {
				v.forward(x, x2, w, b, y)
				v.gradInput(dy, w, dx, dx2)
				v.gradWeight(dy, x, x2, dw, db)
			}), d)
		}
	})
}
