package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
