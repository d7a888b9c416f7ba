package augment

import (
	"math"
	"math/rand/v2"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/volume"
)

// Previous changes the labels of a cascade's previous stage in a patch, so that the
// network does not trust them blindly: labels grow, shrink, lose holes and thin
// parts, or lose a component. values are the labels that there are. It is host's
// work, on the patch that Warp has made.
//
// Source: batchgeneratorsv2's ApplyRandomBinaryOperatorTransform and
// RemoveRandomConnectedComponentFromOneHotEncodingTransform.
func Previous(labels []uint8, shape [3]int, values []int, r plan.Recipe, rnd *rand.Rand) {
	for _, t := range r.Augmentation {
		if !plan.OnPrevious(t.Op) || rnd.Float64() >= t.P {
			continue
		}
		for _, i := range rnd.Perm(len(values)) {
			if rnd.Float64() >= t.PChannel {
				continue
			}
			c := crop{labels, shape, uint8(values[i])}
			if t.Op == plan.Removal {
				c.remove(t.Ranges["share"][1], rnd)
				continue
			}
			c.reshape(morphologies()[rnd.IntN(4)], ball(uniform(t.Ranges["radius"], rnd)))
		}
	}
}

// ball is the radius of a ball about a voxel of as many voxels as scikit-image's ball
// of a radius r, which need not be whole: that has the diameter ⌊2r⌋ and where this is odd
// its centre between voxels.
func ball(r float64) float64 {
	d := math.Floor(2 * r)
	if math.Mod(d, 2) == 1 {
		d -= 0.5
	}
	return d / 2
}

// crop is one label of a patch.
type crop struct {
	labels []uint8
	shape  [3]int
	value  uint8
}

func (c crop) mask() ([]bool, bool) {
	mask, any := make([]bool, len(c.labels)), false
	for i, v := range c.labels {
		mask[i] = v == c.value
		any = any || mask[i]
	}
	return mask, any
}

type morphology func(mask []bool, shape [3]int, radius float64) []bool

func morphologies() [4]morphology {
	return [4]morphology{
		dilate,
		erode,
		func(m []bool, s [3]int, r float64) []bool { return erode(dilate(m, s, r), s, r) }, // closing
		func(m []bool, s [3]int, r float64) []bool { return dilate(erode(m, s, r), s, r) }, // opening
	}
}

// dilate adds what is at most radius voxels away from the mask.
func dilate(mask []bool, shape [3]int, radius float64) []bool {
	out := make([]bool, len(mask))
	for i, d := range volume.DistanceSquared(mask, shape, [3]float64{1, 1, 1}) {
		out[i] = float64(d) <= radius*radius
	}
	return out
}

// erode keeps what is more than radius voxels away from what is not the mask; the
// border of the patch does not count as such.
func erode(mask []bool, shape [3]int, radius float64) []bool {
	not := make([]bool, len(mask))
	for i, m := range mask {
		not[i] = !m
	}
	out := dilate(not, shape, radius)
	for i, m := range out {
		out[i] = !m
	}
	return out
}

// reshape replaces the label's voxels by those that f makes of them. What is added
// is taken from other labels.
func (c crop) reshape(f morphology, radius float64) {
	before, any := c.mask()
	if !any {
		return
	}
	for i, in := range f(before, c.shape, radius) {
		switch {
		case in:
			c.labels[i] = c.value
		case before[i]:
			c.labels[i] = 0
		}
	}
}

// remove takes a random component away, of those that are smaller than a share of
// the patch.
func (c crop) remove(share float64, rnd *rand.Rand) {
	mask, any := c.mask()
	if !any {
		return
	}
	component, sizes := volume.Components(mask, c.shape, volume.Corners)
	var small []int32
	for i, n := range sizes {
		if float64(n) < share*float64(len(mask)) {
			small = append(small, int32(i+1))
		}
	}
	if len(small) == 0 {
		return
	}
	gone := small[rnd.IntN(len(small))]
	for i := range component {
		if component[i] == gone {
			c.labels[i] = 0
		}
	}
}
