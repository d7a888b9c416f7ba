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

// ulps is how far got is from want, in units of the last place of want.
func ulps(want float64, got float32) float64 {
	w := float32(want)
	unit := math.Abs(float64(math.Nextafter32(w, float32(math.Inf(1))) - w))
	return math.Abs(float64(got)-want) / unit
}

func TestExponentialIsWithinOneUlp(t *testing.T) {
	for _, f := range flats() {
		const n = 1 << 16
		x, zero, y := make([]float32, n), make([]float32, n), make([]float32, n)
		for i := range x {
			x[i] = -87.3 * float32(i) / n // the smallest normal result is at −87.34
		}
		f.expSub(&y[0], &x[0], &zero[0], n/f.lanes)
		worst := 0.0
		for i := range x {
			worst = max(worst, ulps(math.Exp(float64(x[i])), y[i]))
		}
		t.Logf("%d lanes: %.2f ulp", f.lanes, worst)
		assert.LessOrEqual(t, worst, 1.0)
		special := []float32{float32(math.Inf(-1)), -1e30, -88, -100, float32(math.NaN()), 0, 15: 0}
		f.expSub(&y[0], &special[0], &zero[0], len(special)/f.lanes)
		for i, want := range []float32{0, 0, 0, 0} {
			assert.InDelta(t, want, y[i], 0x1p-126)
		}
		assert.True(t, math.IsNaN(float64(y[4])))
		assert.Equal(t, float32(1), y[5])
	}
}

func TestLogarithmIsWithinThreeUlp(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, f := range flats() {
		const n = 1 << 16
		x, y := make([]float32, n), make([]float32, n)
		for i := range x {
			switch i % 3 {
			case 0:
				x[i] = 1 + (r.Float32()-0.5)/64 // where the result is small
			case 1:
				x[i] = r.Float32() + 1
			default:
				x[i] = float32(math.Exp(160*r.Float64() - 80))
			}
		}
		x[0], x[1] = 1, 0
		f.log(&y[0], &x[0], n/f.lanes)
		assert.Zero(t, y[0])
		assert.True(t, math.IsInf(float64(y[1]), -1))
		worst := 0.0
		for i := 2; i < n; i++ {
			if x[i] != 1 {
				worst = max(worst, ulps(math.Log(float64(x[i])), y[i]))
			}
		}
		t.Logf("%d lanes: %.2f ulp", f.lanes, worst)
		assert.LessOrEqual(t, worst, 3.0)
	}
}

func TestClassesAreDealtOutAndBack(t *testing.T) {
	for _, f := range flats() {
		for k := range f.split {
			if f.split[k] == nil {
				continue
			}
			const vectors = 3
			n := vectors * f.lanes
			src, rows, back := make([]float32, n*k), make([]float32, (n+5)*k), make([]float32, n*k)
			for i := range src {
				src[i] = float32(i)
			}
			f.split[k](&rows[0], &src[0], 4*(n+5), vectors)
			for i := range n {
				for j := range k {
					require.Equal(t, src[i*k+j], rows[j*(n+5)+i], "%d lanes: class %d of %d of voxel %d", f.lanes, j, k, i)
				}
			}
			f.join[k](&back[0], &rows[0], 4*(n+5), vectors)
			assert.Equal(t, src, back)
		}
	}
}

// lossCase is rows of voxels, of which some do not count, with ties among the logits.
type lossCase struct {
	lossRows
	rows [4][]float32 // z, p, sums, ce
	kept [3][]float32 // top, total, class
}

func newLossCase(k, n, lanes int) *lossCase {
	r := rand.New(rand.NewPCG(9, uint64(k)))
	c := &lossCase{}
	c.rows = [4][]float32{numbers(r, n*k), numbers(r, n*k), make([]float32, 4*k*lanes), numbers(r, n)}
	for i := range c.rows[0] {
		c.rows[0][i] = float32(math.Round(float64(4*c.rows[0][i]))) / 2
	}
	for i := range c.kept {
		c.kept[i] = numbers(r, n)
	}
	for i := range n {
		c.kept[2][i] = float32(r.IntN(k+1) - 1)
	}
	d := numbers(r, 3*k)
	c.lossRows = lossRows{
		z: &c.rows[0][0], p: &c.rows[1][0], sums: &c.rows[2][0], ce: &c.rows[3][0],
		top: &c.kept[0][0], total: &c.kept[1][0], class: &c.kept[2][0], d: &d[0], k: k, step: 4 * n, vectors: n / lanes,
	}
	return c
}

// folded adds up the lanes of sums.
func (c *lossCase) folded(lanes int) (out []float32) {
	for s := c.rows[2]; len(s) > 0; s = s[lanes:] {
		total := float32(0)
		for _, x := range s[:lanes] {
			total += x
		}
		out = append(out, total)
	}
	return out
}

func TestLossKernelsAgreeWithPlainGo(t *testing.T) {
	const n = 64
	for _, f := range flats() {
		for _, k := range []int{1, 2, 3, 7} {
			for _, kernel := range []struct {
				name       string
				fast, slow func(*lossRows)
			}{
				{"softmax", f.softmax, softmaxGo},
				{"hard", f.hard, hardGo},
				{"classSums", f.classSums, classSumsGo},
				{"softSums", f.softSums, softSumsGo},
				{"pick", f.pick, pickGo},
				{"classGrad", f.classGrad, classGradGo},
			} {
				if k < len(f.softmaxes) && f.softmaxes[k] != nil && kernel.name == "softmax" {
					got, want := newLossCase(k, n, f.lanes), newLossCase(k, n, f.lanes)
					f.softmaxes[k](&got.lossRows)
					kernel.fast(&want.lossRows)
					assert.Equal(t, [2]any{want.rows, want.kept}, [2]any{got.rows, got.kept}, "%d lanes, %d classes", f.lanes, k)
				}
				got, want := newLossCase(k, n, f.lanes), newLossCase(k, n, plainFlat.lanes)
				kernel.fast(&got.lossRows)
				kernel.slow(&want.lossRows)
				what := fmt.Sprintf("%s of %d lanes, %d classes", kernel.name, f.lanes, k)
				for _, i := range []int{0, 1, 3} {
					closeTo(t, what, want.rows[i], got.rows[i], 2*k+4)
				}
				closeTo(t, what, want.kept[0], got.kept[0], 1)
				closeTo(t, what, want.kept[1], got.kept[1], k)
				closeTo(t, what, want.folded(plainFlat.lanes), got.folded(f.lanes), n)
			}
		}
	}
}

func TestKernelsOfRegionsAgreeWithPlainGo(t *testing.T) {
	const n = 64
	r := rand.New(rand.NewPCG(13, 14))
	for _, f := range flats() {
		v, g := n/f.lanes, n/plainFlat.lanes
		p, z, total, tt, class := numbers(r, n), numbers(r, n), numbers(r, n), numbers(r, n), numbers(r, n)
		labels := make([]byte, n)
		for i := range labels {
			tt[i], labels[i] = float32(i%3/2), byte(r.IntN(6))
		}
		got, want := make([]float32, n), make([]float32, n)
		f.classes(&got[0], &labels[0], v, 3, 4)
		classesGo(&want[0], &labels[0], g, 3, 4)
		assert.Equal(t, want, got)
		copy(class, want)
		f.choose(&got[0], &class[0], v, 1)
		chooseGo(&want[0], &class[0], g, 1)
		assert.Equal(t, want, got)
		f.sigmoidGrad(&got[0], &p[0], &tt[0], &class[0], v, 0.5, -2, 3)
		sigmoidGradGo(&want[0], &p[0], &tt[0], &class[0], g, 0.5, -2, 3)
		closeTo(t, "sigmoidGrad", want, got, 8)
		logs, logs2 := make([]float32, n), make([]float32, n)
		f.sigmoid(&got[0], &logs[0], &z[0], v)
		sigmoidGo(&want[0], &logs2[0], &z[0], g)
		closeTo(t, "sigmoid", want, got, 2)
		closeTo(t, "sigmoid", logs2, logs, 2)
		sums := func(f *flat, vectors int) (out []float32) {
			c := lossCase{rows: [4][]float32{2: make([]float32, 4*f.lanes)}}
			f.regionSums(&c.rows[2][0], &p[0], &tt[0], &class[0], vectors)
			f.binary(&c.rows[2][3*f.lanes], &z[0], &total[0], &tt[0], &class[0], vectors)
			return c.folded(f.lanes)
		}
		closeTo(t, "sums", sums(&plainFlat, g), sums(f, v), n)
	}
}

func TestLabelKernelsHaveTheBitsOfPlainGo(t *testing.T) {
	const n = 96
	r := rand.New(rand.NewPCG(17, 18))
	for _, f := range flats() {
		for _, k := range []int{1, 2, 5} {
			c := newLossCase(k, n, f.lanes)
			d, got, want := make([]float32, 3*k), make([]byte, n), make([]byte, n)
			for i := range k {
				d[3*i] = float32(255 - 50*i)
			}
			c.d = &d[0]
			for _, kernel := range []struct{ fast, slow func(*lossRows) }{{f.firstLargest, firstLargestGo}, {f.lastAbove, lastAboveGo}} {
				c.labels, c.vectors = &got[0], n/f.lanes
				kernel.fast(&c.lossRows)
				c.labels, c.vectors = &want[0], n/plainFlat.lanes
				kernel.slow(&c.lossRows)
				assert.Equal(t, want, got, "%d lanes, %d classes", f.lanes, k)
			}
		}
		a, b, got, want := numbers(r, n), numbers(r, n), make([]float32, n), make([]float32, n)
		f.mix(&got[0], &a[0], &b[0], n/f.lanes, 0.3)
		mixGo(&want[0], &a[0], &b[0], n/plainFlat.lanes, 0.3)
		assert.Equal(t, want, got)
		for _, in := range []int{29, 96, 180, 400} { // of the last, voxels lie too far apart
			x := numbers(r, in+2*f.lanes)
			of := func(f *flat) []float32 {
				y := make([]float32, n)
				s := (&scope{device: &device{flat: f}}).stretching(axis(in, n, false))
				assert.Equal(t, in < 400, s.base != nil)
				s.run(y, x)
				return y
			}
			assert.Equal(t, of(&plainFlat), of(f), "%d lanes, %d to %d", f.lanes, in, n)
		}
	}
}

func TestOptimizersAgreeWithPlainGo(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	const n = 64
	for _, f := range flats() {
		for _, k := range []struct {
			fast func(*update, int)
			slow func(*update, int)
		}{{f.sgd, sgd}, {f.adam, adam}} {
			var p [2][4][]float32
			for i := range p[0] {
				p[0][i] = numbers(r, n)
				for j := range p[0][i] {
					if i == 3 {
						p[0][i][j] *= p[0][i][j] // the second moment
					}
				}
				p[1][i] = append([]float32(nil), p[0][i]...)
			}
			u := update{
				factor: 0.5, decay: 0.1, rate: 0.3, beta1: 0.9, own: 1, of: 0.9, rest1: 0.1, beta2: 0.99,
				rest2: 0.01, shrink: 0.03, root: 1.1, epsilon: 0.01,
			}
			for i, run := range []func(*update, int){func(u *update, n int) { k.fast(u, n/f.lanes) }, k.slow} {
				u.w, u.g, u.m, u.v = &p[i][0][0], &p[i][1][0], &p[i][2][0], &p[i][3][0]
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
