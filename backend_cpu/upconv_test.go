package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// upCase is the data of one transposed convolution and what a naive loop in
// float64 makes of it.
type upCase struct {
	upShape
	x, w, b, dy                []float64
	y, dx, dw, db              []float64
	yMag, dxMag, dwMag, dbMag  []float64
	yTerms, dxTerms, sumsTerms int
}

func newUpCase(s upShape, seed uint64, draw func(*rand.Rand, int) []float64) *upCase {
	r := rand.New(rand.NewPCG(seed, 2))
	c, o, taps := &upCase{upShape: s}, s.out(), size(s.Stride).volume()
	vi, vo := s.N*size(s.In).volume(), s.N*o.volume()
	c.x, c.w, c.b, c.dy = draw(r, vi*s.Ci), draw(r, taps*s.Ci*s.Co), draw(r, s.Co), draw(r, vo*s.Co)
	c.y, c.yMag = make([]float64, vo*s.Co), make([]float64, vo*s.Co)
	c.dx, c.dxMag = make([]float64, vi*s.Ci), make([]float64, vi*s.Ci)
	c.dw, c.dwMag = make([]float64, len(c.w)), make([]float64, len(c.w))
	c.db, c.dbMag = make([]float64, s.Co), make([]float64, s.Co)
	c.yTerms, c.dxTerms, c.sumsTerms = s.Ci+1, taps*s.Co, vo
	for out := range vo {
		n, d, h, w := out/o.volume(), out/(o[1]*o[2])%o[0], out/o[2]%o[1], out%o[2]
		in := ((n*s.In[0]+d/s.Stride[0])*s.In[1]+h/s.Stride[1])*s.In[2] + w/s.Stride[2]
		tap := (d%s.Stride[0]*s.Stride[1]+h%s.Stride[1])*s.Stride[2] + w%s.Stride[2]
		for co := range s.Co {
			y := out*s.Co + co
			c.y[y], c.yMag[y] = c.b[co], math.Abs(c.b[co])
			c.db[co] += c.dy[y]
			c.dbMag[co] += math.Abs(c.dy[y])
			for ci := range s.Ci {
				x, w := in*s.Ci+ci, (tap*s.Ci+ci)*s.Co+co
				c.y[y] += c.x[x] * c.w[w]
				c.yMag[y] += math.Abs(c.x[x] * c.w[w])
				c.dx[x] += c.dy[y] * c.w[w]
				c.dxMag[x] += math.Abs(c.dy[y] * c.w[w])
				c.dw[w] += c.dy[y] * c.x[x]
				c.dwMag[w] += math.Abs(c.dy[y] * c.x[x])
			}
		}
	}
	return c
}

// compute runs all directions of c.
func (c *upCase) compute(isa *isa, p *pool, d graph.DType) results {
	v := newUpConv(c.upShape, isa, p, forward|gradInput|gradWeight)
	r := results{y: blank(d, len(c.y)), dx: blank(d, len(c.dx)), dw: blank(graph.F32, len(c.dw)), db: blank(graph.F32, len(c.db))}
	x, w, b, dy := store(d, c.x), store(d, c.w), store(graph.F32, c.b), store(d, c.dy)
	p.poison()
	v.forward(x, w, b, r.y)
	p.poison()
	v.gradInput(dy, w, r.dx)
	p.poison()
	v.gradWeight(dy, x, r.dw.f32, r.db.f32)
	return r
}

func (c *upCase) check(t *testing.T, r results) {
	t.Helper()
	near(t, "y", c.y, c.yMag, c.yTerms, r.y)
	near(t, "dx", c.dx, c.dxMag, c.dxTerms, r.dx)
	near(t, "dw", c.dw, c.dwMag, c.sumsTerms, r.dw)
	near(t, "db", c.db, c.dbMag, c.sumsTerms, r.db)
}

// upShapes are small transposed convolutions.
func upShapes() []upShape {
	list := []upShape{
		{1, [3]int{3, 4, 5}, 16, 8, [3]int{2, 2, 2}},
		{2, [3]int{2, 3, 4}, 64, 32, [3]int{2, 2, 2}},
		{1, [3]int{1, 5, 7}, 24, 12, [3]int{1, 2, 2}},
		{2, [3]int{3, 3, 3}, 5, 3, [3]int{2, 2, 2}},
		{1, [3]int{3, 2, 5}, 40, 33, [3]int{1, 3, 2}},
		{1, [3]int{1, 1, 1}, 9, 17, [3]int{2, 1, 2}},
	}
	r := rand.New(rand.NewPCG(8, 8))
	for range 8 {
		s := upShape{N: 1 + r.IntN(2), Ci: 1 + r.IntN(40), Co: 1 + r.IntN(24)}
		for i := range 3 {
			s.In[i], s.Stride[i] = 1+r.IntN(6), 1+r.IntN(3)
		}
		list = append(list, s)
	}
	return list
}

func TestUpConvEqualsTheFormulaOnExactInputs(t *testing.T) {
	for _, s := range upShapes() {
		c := newUpCase(s, 3, eighths)
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			eachISA(t, func(t *testing.T, isa *isa, p *pool) {
				for _, d := range []graph.DType{graph.F32, graph.BF16, graph.F16} {
					r := c.compute(isa.of(d), p, d)
					if d == graph.F32 {
						equal(t, "y", c.y, r.y)
						equal(t, "dx", c.dx, r.dx)
					}
					c.check(t, r)
					equal(t, "dw", c.dw, r.dw)
					equal(t, "db", c.db, r.db)
				}
			})
		})
	}
}

func TestUpConvIsWithinTheRoundingOfItsSums(t *testing.T) {
	for _, s := range upShapes() {
		c := newUpCase(s, 4, normal)
		t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
			eachISA(t, func(t *testing.T, isa *isa, p *pool) { c.check(t, c.compute(isa, p, graph.F32)) })
		})
	}
}

func TestUpConvHasTheSameBitsForAnyNumberOfWorkers(t *testing.T) {
	c := newUpCase(upShape{2, [3]int{7, 9, 10}, 24, 10, [3]int{2, 2, 2}}, 5, normal)
	for _, isa := range isas() {
		t.Run(isa.name, func(t *testing.T) {
			one := newPool(1)
			defer one.close()
			want := c.compute(isa, one, graph.F32)
			for workers := 2; workers <= 5; workers++ {
				p := newPool(workers)
				require.Equal(t, want, c.compute(isa, p, graph.F32), "%d workers", workers)
				p.close()
			}
		})
	}
}

func TestUpConvAllocatesNothing(t *testing.T) {
	s := upShape{2, [3]int{5, 6, 6}, 24, 12, [3]int{2, 2, 2}}
	c := newUpCase(s, 6, normal)
	eachISA(t, func(t *testing.T, isa *isa, p *pool) {
		for _, d := range []graph.DType{graph.F32, graph.F16, graph.BF16} {
			v := newUpConv(s, isa.of(d), p, forward|gradInput|gradWeight)
			x, w, b, dy := store(d, c.x), store(d, c.w), store(graph.F32, c.b), store(d, c.dy)
			y, dx := blank(d, len(c.y)), blank(d, len(c.x))
			dw, db := make([]float32, len(c.w)), make([]float32, len(c.b))
			require.Zero(t, testing.AllocsPerRun(5, func() {
				v.forward(x, w, b, y)
				v.gradInput(dy, w, dx)
				v.gradWeight(dy, x, dw, db)
			}), d)
		}
	})
}
