package metric

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gounet/gounet/core/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func grid(d, h, w int, spacing ...float64) volume.Grid {
	g := volume.Grid{Shape: [3]int{d, h, w}, Spacing: [3]float64{1, 1, 1}}
	copy(g.Spacing[:], spacing)
	return g
}

// blobs are random labels 0 to 3 with structures of several voxels.
func blobs(g volume.Grid, r *rand.Rand) *volume.Labels {
	l := volume.NewLabels(g)
	for range 6 {
		v := uint8(r.IntN(4))
		var lo, hi [3]int
		for a, n := range g.Shape {
			lo[a] = r.IntN(n)
			hi[a] = lo[a] + 1 + r.IntN(n-lo[a])
		}
		for z := lo[0]; z < hi[0]; z++ {
			for y := lo[1]; y < hi[1]; y++ {
				for x := lo[2]; x < hi[2]; x++ {
					if r.IntN(10) > 0 {
						l.Data[(z*g.Shape[1]+y)*g.Shape[2]+x] = v
					}
				}
			}
		}
	}
	return l
}

// naive scores a structure by walking over the voxels, as the definition says.
func naive(ref, pred *volume.Labels, target Target, ignore int) (tp, fp, fn, tn float64) {
	in := target.members()
	for i, r := range ref.Data {
		if ignore > 0 && int(r) == ignore {
			continue
		}
		switch a, b := in[r], in[pred.Data[i]]; {
		case a && b:
			tp++
		case b:
			fp++
		case a:
			fn++
		default:
			tn++
		}
	}
	return tp, fp, fn, tn
}

func TestCountsFollowTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	targets := []Target{{0}, {1}, {2, 3}, {1, 2, 3}, {77}}
	for range 20 {
		g := grid(5, 6, 7)
		ref, pred := blobs(g, r), blobs(g, r)
		for _, ignore := range []int{0, 3} {
			scores, err := Score(ref, pred, targets, Options{Ignore: ignore})
			require.NoError(t, err)
			for i, target := range targets {
				tp, fp, fn, tn := naive(ref, pred, target, ignore)
				s := scores[i]
				require.Equal(t, []float64{tp, fp, fn, tn, tp + fn, tp + fp}, []float64{s.TP, s.FP, s.FN, s.TN, s.NRef, s.NPred})
				if tp+fp+fn == 0 {
					require.True(t, math.IsNaN(s.Dice) && math.IsNaN(s.IoU))
					continue
				}
				require.Equal(t, 2*tp/(2*tp+fp+fn), s.Dice)
				require.Equal(t, tp/(tp+fp+fn), s.IoU)
			}
		}
	}
}

// naiveDistances is quadratic and knows no box.
func naiveDistances(ref, pred *volume.Labels, in [256]bool, ignore int) (toRef, toPred []float64) {
	border := func(l *volume.Labels) (at [][3]int) {
		s := l.Shape
		member := func(z, y, x int) bool {
			i := (z*s[1]+y)*s[2] + x
			return in[l.Data[i]] && (ignore == 0 || int(ref.Data[i]) != ignore)
		}
		for z := range s[0] {
			for y := range s[1] {
				for x := range s[2] {
					if !member(z, y, x) {
						continue
					}
					for _, n := range [][3]int{{z - 1, y, x}, {z + 1, y, x}, {z, y - 1, x}, {z, y + 1, x}, {z, y, x - 1}, {z, y, x + 1}} {
						outside := n[0] < 0 || n[0] >= s[0] || n[1] < 0 || n[1] >= s[1] || n[2] < 0 || n[2] >= s[2]
						if !outside && !member(n[0], n[1], n[2]) {
							at = append(at, [3]int{z, y, x})
							break
						}
					}
				}
			}
		}
		return at
	}
	nearest := func(from, to [][3]int) (d []float64) {
		for _, a := range from {
			best := math.Inf(1)
			for _, b := range to {
				sum := 0.0
				for i := range 3 {
					v := ref.Spacing[i] * float64(a[i]-b[i])
					sum += v * v
				}
				best = min(best, math.Sqrt(sum))
			}
			d = append(d, best)
		}
		return d
	}
	a, b := border(ref), border(pred)
	if len(a) == 0 || len(b) == 0 {
		return nil, nil
	}
	return nearest(b, a), nearest(a, b)
}

func TestDistancesFollowTheDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	g := grid(6, 7, 8, 2.5, 1.25, 0.5) // squares of multiples are exact
	for range 20 {
		ref, pred := blobs(g, r), blobs(g, r)
		for _, target := range []Target{{1}, {2, 3}, {77}} {
			for _, ignore := range []int{0, 3} {
				toRef, toPred := naiveDistances(ref, pred, target.members(), ignore)
				got := surfaces(ref, pred, target, ignore, labelBoxes(ref, pred))
				require.ElementsMatch(t, toRef, got.ToRef)
				require.ElementsMatch(t, toPred, got.ToPred)
				require.IsNonDecreasing(t, append([]float64{0, 0}, got.ToRef...))
			}
		}
	}
}

// cube is label 1 in [lo, lo+n) along each axis.
func cube(g volume.Grid, lo [3]int, n int) *volume.Labels {
	l := volume.NewLabels(g)
	for z := range n {
		for y := range n {
			for x := range n {
				l.Data[((lo[0]+z)*g.Shape[1]+lo[1]+y)*g.Shape[2]+lo[2]+x] = 1
			}
		}
	}
	return l
}

func TestAShiftedCubeIsAsFarAsItsShift(t *testing.T) {
	g := grid(12, 12, 12, 3, 1, 1)
	ref, pred := cube(g, [3]int{3, 3, 3}, 5), cube(g, [3]int{4, 3, 3}, 5) // 3 mm along D
	o := Options{Surface: true, Tolerance: 3}
	s, err := Score(ref, pred, []Target{{1}}, o)
	require.NoError(t, err)
	assert.Equal(t, 3.0, s[0].HD)
	assert.Equal(t, 3.0, s[0].HD95)
	assert.Equal(t, 1.0, s[0].SurfaceDice)
	assert.Equal(t, 125*3.0/1000, s[0].VolumeRef)
	assert.Equal(t, 0.8, s[0].Dice)

	o.Tolerance = 2.999
	s, err = Score(ref, pred, []Target{{1}}, o)
	require.NoError(t, err)
	// Of a cube's 98 border voxels the 25 of the face that sticks out are 3 mm from
	// the other cube. The side faces coincide; the face inside the other cube is at
	// most 2 mm from its sides.
	assert.Equal(t, 2*(98.0-25)/(2*98), s[0].SurfaceDice)
}

func TestEqualMapsAreAtNoDistance(t *testing.T) {
	l := cube(grid(6, 6, 6), [3]int{0, 1, 2}, 4)
	s, err := Score(l, l, []Target{{1}}, Options{Surface: true})
	require.NoError(t, err)
	assert.Equal(t, []float64{1, 1, 0, 0, 0, 1}, []float64{s[0].Dice, s[0].IoU, s[0].HD, s[0].HD95, s[0].ASSD, s[0].SurfaceDice})
}

func TestEmptyStructuresHaveNoDistance(t *testing.T) {
	g := grid(6, 6, 6)
	full, empty := cube(g, [3]int{1, 1, 1}, 3), volume.NewLabels(g)
	o := Options{Surface: true, Tolerance: 1}
	for _, c := range []struct {
		name              string
		ref, pred         *volume.Labels
		dice, surfaceDice float64
	}{
		{"missed", full, empty, 0, 0},
		{"invented", empty, full, 0, 0},
		{"absent", empty, empty, math.NaN(), math.NaN()},
	} {
		s, err := Score(c.ref, c.pred, []Target{{1}}, o)
		require.NoError(t, err)
		assert.True(t, math.IsNaN(s[0].HD) && math.IsNaN(s[0].HD95) && math.IsNaN(s[0].ASSD), c.name)
		if math.IsNaN(c.dice) {
			assert.True(t, math.IsNaN(s[0].Dice) && math.IsNaN(s[0].SurfaceDice), c.name)
			continue
		}
		assert.Equal(t, []float64{c.dice, c.surfaceDice}, []float64{s[0].Dice, s[0].SurfaceDice}, c.name)
	}
}

func TestPercentilesAreNumpys(t *testing.T) {
	// numpy.percentile([1, 2, 4, 8], [0, 25, 50, 95, 100])
	for p, want := range map[float64]float64{0: 1, 25: 1.75, 50: 3, 95: 7.4, 100: 8} {
		assert.InDelta(t, want, Percentile([]float64{1, 2, 4, 8}, p), 1e-14)
	}
	assert.Equal(t, 5.0, Percentile([]float64{5}, 95))
	assert.True(t, math.IsNaN(Percentile(nil, 95)))
}

func TestWhatCannotBeScoredIsAnError(t *testing.T) {
	a, b := volume.NewLabels(grid(1, 2, 3)), volume.NewLabels(grid(3, 2, 1))
	one := []Target{{1}}
	for want, c := range map[string]struct {
		pred    *volume.Labels
		targets []Target
		o       Options
	}{
		"reference has shape [1 2 3]": {b, one, Options{}},
		"no labels":                   {a, nil, Options{}},
		"without labels":              {a, []Target{{}}, Options{}},
		"label 255":                   {a, []Target{{255}}, Options{}},
		"label -1":                    {a, []Target{{1, -1}}, Options{}},
		"ignore label 300":            {a, one, Options{Ignore: 300}},
		"tolerance -1 mm":             {a, one, Options{Tolerance: -1}},
		"tolerance NaN mm":            {a, one, Options{Tolerance: math.NaN()}},
	} {
		_, err := Score(a, c.pred, c.targets, c.o)
		assert.ErrorContains(t, err, want)
	}
}
