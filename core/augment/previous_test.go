package augment

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/core/plan"
)

func TestABallIsWhatAVoxelGrowsTo(t *testing.T) {
	shape := [3]int{9, 9, 9}
	mask := make([]bool, 729)
	mask[364] = true // the middle
	for _, r := range []float64{1, 2.5, 4} {
		grown := dilate(mask, shape, r)
		for i, in := range grown {
			d, h, w := i/81-4, i/9%9-4, i%9-4
			assert.Equal(t, float64(d*d+h*h+w*w) <= r*r, in)
		}
		back := erode(grown, shape, r)
		assert.Equal(t, mask, back, "closing a ball gives its centre back")
	}
	assert.NotContains(t, erode(mask, shape, 1), true)
	full := dilate(mask, shape, 20)
	assert.Equal(t, full, erode(full, shape, 8), "the border of the patch takes nothing")
}

// TestBallsHaveAsManyVoxelsAsThoseOfScikitImage counts; the radii between are those of
// the next smaller here.
func TestBallsHaveAsManyVoxelsAsThoseOfScikitImage(t *testing.T) {
	shape := [3]int{19, 19, 19}
	mask := make([]bool, 19*19*19)
	mask[len(mask)/2] = true
	for i, want := range []int{7, 8, 33, 56, 123, 160, 257, 360, 515, 672, 925, 1088, 1419, 1736} {
		n := 0
		for _, in := range dilate(mask, shape, ball(1+float64(i)/2+0.2)) {
			if in {
				n++
			}
		}
		assert.InEpsilon(t, want, n, 0.13, "radius %v", 1+float64(i)/2)
	}
}

func TestOpeningTakesAndClosingAdds(t *testing.T) {
	shape := [3]int{12, 13, 14}
	mask := make([]bool, 12*13*14)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range mask {
		mask[i] = r.Float64() < 0.8
	}
	f := morphologies()
	closed, opened := f[2](mask, shape, 1.5), f[3](mask, shape, 1)
	for i := range mask {
		assert.False(t, mask[i] && !closed[i])
		assert.False(t, opened[i] && !mask[i])
	}
}

// TestChangesOfAPreviousStageAreThoseOfTheRecipe counts over many draws.
func TestChangesOfAPreviousStageAreThoseOfTheRecipe(t *testing.T) {
	shape := [3]int{8, 8, 8}
	before := make([]uint8, 512)
	for i := range before {
		before[i] = uint8(i / 200) // 0, 1, 2
		if i%8 == 7 {
			before[i] = 255
		}
	}
	c := &plan.Configuration{Dim: 3, Patch: shape, Previous: plan.ConfigLowRes}
	recipe := plan.NNUNet(3).For(c)
	changed, n := 0, 2000
	for i := range n {
		labels := append([]uint8(nil), before...)
		Previous(labels, shape, []int{1, 2}, recipe, Random(3, i, 0))
		if !assert.Subset(t, []uint8{0, 1, 2, 255}, labels) {
			return
		}
		if string(labels) != string(before) {
			changed++
		}
	}
	// The reshaping fires with 0.4·(1 − ½²) = 0.3, the removal with 0.2·(1 − ½²) = 0.15 where
	// a label is small enough; ten standard deviations of a coin thrown n times are 0.1.
	assert.InDelta(t, 0.35, float64(changed)/float64(n), 0.1)
	none := append([]uint8(nil), before...)
	c.Previous = ""
	Previous(none, shape, []int{1, 2}, plan.NNUNet(3).For(c), Random(3, 1, 0))
	assert.Equal(t, before, none, "no cascade, no change")
}
