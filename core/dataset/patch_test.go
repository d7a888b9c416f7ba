package dataset_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/volume"
)

// TestForcedCropsHoldAComponent draws crops of a case of three components, two of one
// label: each is met as often as the rule says, and the crop lies where it may.
func TestForcedCropsHoldAComponent(t *testing.T) {
	s := &dataset.Sample{Shape: [3]int{20, 30, 10}, C: 1}
	s.Labels = make([]uint8, 20*30*10)
	boxes := []volume.Box{
		{Lo: [3]int{1, 2, 0}, Hi: [3]int{3, 5, 2}},
		{Lo: [3]int{10, 20, 3}, Hi: [3]int{12, 21, 9}},
		{Lo: [3]int{4, 6, 0}, Hi: [3]int{18, 19, 10}}, // larger than the crop
	}
	for i, b := range boxes {
		for v := range s.Labels {
			at := [3]int{v / 300, v / 10 % 30, v % 10}
			in := true
			for a := range at {
				in = in && at[a] >= b.Lo[a] && at[a] < b.Hi[a]
			}
			if in {
				s.Labels[v] = []uint8{1, 1, 7}[i]
			}
		}
	}
	s.Labels[0] = volume.Outside
	crop := [3]int{8, 8, 16} // deeper than the case: 3 voxels of padding on each side
	r := rand.New(rand.NewPCG(1, 2))
	const n = 4000
	met := make([]int, len(boxes))
	for range n {
		lo := s.CornerByComponent(r, crop, true)
		found := -1
		for i, b := range boxes {
			fits := true
			for a := range 3 {
				first, last := b.Hi[a]-crop[a], b.Lo[a] // holds all of it
				if last < first {
					first, last = last, first // is held by it
				}
				fits = fits && lo[a] >= first && lo[a] <= last
			}
			if fits {
				found = i
			}
		}
		if !assert.GreaterOrEqual(t, found, 0, "%v holds none", lo) || !assert.GreaterOrEqual(t, lo[0], 0) || !assert.GreaterOrEqual(t, lo[2], -3) {
			return
		}
		met[found]++
	}
	for i, share := range []float64{0.25, 0.25, 0.5} {
		assert.InDelta(t, share, float64(met[i])/n, 4*math.Sqrt(share*(1-share)/n))
	}
	clear(s.Labels)
	none := &dataset.Sample{Shape: s.Shape, Labels: s.Labels}
	lo := none.CornerByComponent(r, crop, true)
	assert.LessOrEqual(t, lo[0], 12, "without labels the crop is anywhere")
}
