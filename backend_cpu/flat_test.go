package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

// closeTo requires got within the rounding of sums of as many terms, of which
// each is at most 8: the kernels fuse what Go rounds twice.
func closeTo(t *testing.T, what string, want, got []float32, terms int) {
	t.Helper()
	limit := 0x1p-24 * (4 + 2*math.Sqrt(float64(terms))) * 8 * float64(terms)
	for i, w := range want {
		require.InDelta(t, w, got[i], limit, "%s[%d]", what, i)
	}
}

// numbers are between −2 and 2.
func numbers(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = 4*r.Float32() - 2
	}
	return v
}

func TestSweepsAgreeWithPlainGo(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, f := range flats() {
		for _, columns := range []int{f.block, 3 * f.block, 8 * f.block} {
			for _, rows := range []int{1, 2, 7, 75} {
				x, dy := numbers(r, rows*columns), numbers(r, rows*columns)
				col := numbers(r, 7*columns)
				run := func(kernel func(*sweep)) (y, sum, sum2 []float32) {
					c := func(i int) *float32 { return &col[i*columns] }
					y = make([]float32, rows*columns)
					sum, sum2 = append(sum, col[5*columns:6*columns]...), append(sum2, col[6*columns:]...)
					kernel(&sweep{
						x: unsafe.Pointer(&x[0]), dy: unsafe.Pointer(&dy[0]), y: unsafe.Pointer(&y[0]), rows: rows, columns: columns, slope: 0.1,
						mean: c(0), scale: c(1), shift: c(2), k0: c(3), k1: c(4), sum: &sum[0], sum2: &sum2[0],
					})
					return y, sum, sum2
				}
				for _, k := range []struct {
					name       string
					fast, slow func(*sweep)
				}{
					{"sums", f.single.sums, sumsGo},
					{"moments", f.single.moments, momentsGo},
					{"norm", f.single.norm, normGo},
					{"gradSums", f.single.gradSums, gradSumsGo},
					{"grad", f.single.grad, gradGo},
				} {
					y, sum, sum2 := run(k.fast)
					y2, s1, s2 := run(k.slow)
					what := fmt.Sprintf("%s of %d lanes, %d×%d", k.name, f.lanes, rows, columns)
					closeTo(t, what+" y", y2, y, 4)
					closeTo(t, what+" sum", s1, sum, rows+1)
					closeTo(t, what+" sum2", s2, sum2, 4*rows+1)
				}
			}
		}
	}
}

func TestKernelsOfRowsHandleAnyLength(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, f := range flats() {
		for n := range 70 {
			a, y := numbers(r, n), numbers(r, n)
			want := make([]float32, n)
			got := make([]float32, n)
			copy(want, y)
			copy(got, y)
			axpy(want, a, 3)
			f.addScaled(got, a, 3)
			closeTo(t, "axpy", want, got, 2)
			for _, k := range []int{1, 2, 3, 5, 17} {
				x, acc := numbers(r, n*k), numbers(r, n*k)
				want := append([]float32(nil), acc...)
				for i, w := range a {
					axpy(want[i*k:][:k], x[i*k:][:k], w)
				}
				f.blendRow(acc, x, a, f.blendIndex(k), k)
				closeTo(t, "blend", want, acc, 2)
			}
			var sum [4]float64
			f.sumSquares(&sum, a)
			exact := 0.0
			for _, x := range a {
				exact += float64(x) * float64(x)
			}
			assert.InEpsilon(t, 1+exact, 1+sum[0]+sum[1]+sum[2]+sum[3], 1e-14)
		}
	}
}

// All values in bf16, NaNs included: sweeps over them are those over f32, rounded.
func TestSweepsOverBF16AreThoseOverF32Rounded(t *testing.T) {
	const columns, rows = 64, 1 << 16 / 64
	r := rand.New(rand.NewPCG(23, 24))
	for _, f := range flats() {
		if f.halves == nil {
			continue
		}
		x, dy := make([]uint16, rows*columns), make([]uint16, rows*columns)
		wideX, wideDY := make([]float32, rows*columns), make([]float32, rows*columns)
		for i := range x {
			x[i], dy[i] = uint16(i), uint16(r.Uint32())
			wideX[i], wideDY[i] = half.FromBF16(x[i]), half.FromBF16(dy[i])
		}
		col := numbers(r, 5*columns)
		col[3] = math.Float32frombits(0x7fffffff) // a NaN that rounding would make −0
		c := func(i int) *float32 { return &col[i*columns] }
		y, want := make([]uint16, rows*columns), make([]float32, rows*columns)
		for name, kernels := range map[string][2]func(*sweep){"norm": {f.halves.norm, f.single.norm}, "grad": {f.halves.grad, f.single.grad}} {
			s := sweep{rows: rows, columns: columns, mean: c(0), scale: c(1), shift: c(2), k0: c(3), k1: c(4), slope: 0.1}
			s.x, s.dy, s.y = unsafe.Pointer(&x[0]), unsafe.Pointer(&dy[0]), unsafe.Pointer(&y[0])
			kernels[0](&s)
			s.x, s.dy, s.y = unsafe.Pointer(&wideX[0]), unsafe.Pointer(&wideDY[0]), unsafe.Pointer(&want[0])
			kernels[1](&s)
			for i := range y {
				if rounded := half.ToBF16(want[i]); rounded != y[i] {
					require.Failf(t, "not equal", "%s, %d lanes: %x of %x and %x, want %x", name, f.lanes, y[i], x[i], dy[i], rounded)
				}
			}
		}
	}
}

func TestPointwiseKernelsHaveTheBitsOfPlainGo(t *testing.T) {
	const n = 64
	r := rand.New(rand.NewPCG(19, 20))
	at := func(t tensor) unsafe.Pointer { return t.start(0) }
	for _, f := range flats() {
		for d, k := range map[graph.DType]*sweeps{graph.F32: &f.single, graph.BF16: f.halves} {
			if k == nil {
				continue
			}
			a, b, y := store(d, normal(r, n)), store(d, normal(r, n)), blank(d, n)
			x, z, want := make([]float32, n), make([]float32, n), make([]float32, n)
			a.column(x, 1, 0, 1, n)
			b.column(z, 1, 0, 1, n)
			for _, c := range []struct {
				fast func(y, a, b unsafe.Pointer, vectors int, slope float32)
				slow func(y, a, b []float32, slope float32)
			}{{k.leakyAdd, leakyAdd}, {k.leakyGrad, leakyGrad}} {
				c.slow(want, x, z, 0.1)
				c.fast(at(y), at(a), at(b), n/f.lanes, 0.1)
				rounded := blank(d, n)
				isas()[0].put(rounded, 0, 1, want, 1, n, 1)
				assert.Equal(t, rounded, y, "%d lanes, %v", f.lanes, d)
			}
		}
	}
}

func TestSquaresOfTheLargestNumbersAreFinite(t *testing.T) {
	for _, f := range flats() {
		x := make([]float32, 19)
		for i := range x {
			x[i] = math.MaxFloat32
		}
		var sum [4]float64
		f.sumSquares(&sum, x)
		assert.False(t, math.IsInf(sum[0]+sum[1]+sum[2]+sum[3], 0))
		x[18] = float32(math.Inf(-1))
		f.sumSquares(&sum, x)
		assert.True(t, math.IsInf(sum[0]+sum[1]+sum[2]+sum[3], 1))
	}
}

func TestOptimizersAgreeWithPlainGo(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	const n = 64
	for _, f := range flats() {
		for _, k := range []struct {
			fast func(*update, int)
			slow func(*update, int)
		}{{f.sgd, sgd}, {f.adam, adam}, {f.adan, adan}} {
			var p [2][6][]float32
			for i := range p[0] {
				p[0][i] = numbers(r, n)
				for j := range p[0][i] {
					if i == 3 || i == 4 {
						p[0][i][j] *= p[0][i][j] // the second moment
					}
				}
				p[1][i] = append([]float32(nil), p[0][i]...)
			}
			u := update{
				factor: 0.5, decay: 0.1, rate: 0.3, beta1: 0.9, own: 1, of: 0.9, rest1: 0.1, beta2: 0.99,
				rest2: 0.01, rest3: 0.02, shrink: 0.03, root: 1.1, epsilon: 0.01,
			}
			for i, run := range []func(*update, int){func(u *update, n int) { k.fast(u, n/f.lanes) }, k.slow} {
				u.w, u.g, u.m, u.v, u.n, u.p = &p[i][0][0], &p[i][1][0], &p[i][2][0], &p[i][3][0], &p[i][4][0], &p[i][5][0]
				run(&u, n)
			}
			for i := range p[0] {
				closeTo(t, "update", p[1][i], p[0][i], 6)
			}
		}
	}
}

// BenchmarkFlat measures the kernels over rows of columns in the first levels of
// the cache.
func BenchmarkFlat(b *testing.B) {
	for _, f := range flats() {
		for _, columns := range []int{32, 256} {
			x, dy, y, col := random(unitFloats), random(unitFloats), random(unitFloats), random(8*columns)
			c := func(i int) *float32 { return &col.f32[i*columns] }
			s := &sweep{
				x: unsafe.Pointer(&x.f32[0]), dy: unsafe.Pointer(&dy.f32[0]), y: unsafe.Pointer(&y.f32[0]), rows: unitFloats / columns, columns: columns, slope: 0.01,
				mean: c(0), scale: c(1), shift: c(2), k0: c(3), k1: c(4), sum: c(5), sum2: c(6),
			}
			for _, k := range []struct {
				name string
				f    func(*sweep)
			}{{"sums", f.single.sums}, {"moments", f.single.moments}, {"norm", f.single.norm}, {"gradSums", f.single.gradSums}, {"grad", f.single.grad}} {
				b.Run(fmt.Sprintf("%s/%d/%d", k.name, f.lanes, columns), func(b *testing.B) {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					best := time.Hour
					for b.Loop() {
						clear(col.f32[5*columns:])
						start := threadTime()
						for range 1000 {
							k.f(s)
						}
						best = min(best, threadTime()-start)
					}
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(best.Seconds()*1e6/unitFloats*float64(f.lanes), "ns/vector")
				})
			}
		}
	}
}

// flats are the kernels that this processor can run.
func flats() []*flat {
	var list []*flat
	for _, s := range isas() {
		if f := flatOf(s); len(list) == 0 || list[len(list)-1] != f {
			list = append(list, f)
		}
	}
	return list
}
