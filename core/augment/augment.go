// Package augment draws the random parameters of a batch: how each sample is
// rotated, scaled, mirrored, and how its intensities change. It makes no voxels:
// the ops of the training graph do, from the numbers that Draw puts into ctl.
//
// The one idea: randomness has no state. The draws of a sample depend on the
// seed, the number of the step and the place in the batch alone, so that a
// resumed training continues with the numbers of an uninterrupted one.
package augment

import (
	"math"
	"slices"

	"github.com/gounet/gounet/core/plan"
)

// shrink is the smallest scale that source crops allow for in nnU-Net, where
// the true range goes down to 0.7: corners of few samples are padding.
const shrink = 0.85

// SourceShape is the size of the crops that patches are cut out of, D H W in
// voxels: the patch, its extent after the recipe's largest rotation about each
// axis, divided by 0.85, or the room of its scaling, if the recipe shows more than the patch of a scan. r must be
// fitted to the configuration (Recipe.For). Source: nnU-Net v2's get_patch_size.
func SourceShape(r plan.Recipe, patch [3]int) [3]int {
	var size [3]float64
	for a := range size {
		size[a] = float64(patch[a])
	}
	rotation, scaling := find(r, plan.Rotation), find(r, plan.Scaling)
	out := size
	if rotation != nil {
		angle := max(math.Abs(rotation.Ranges["angle"][0]), math.Abs(rotation.Ranges["angle"][1]))
		s, c := math.Sincos(min(angle, 90) * math.Pi / 180)
		for a := range 3 {
			if !rotation.Axes[a] {
				continue
			}
			i, j := (a+1)%3, (a+2)%3
			u, v := size[i]*c+size[j]*s, size[j]*c-size[i]*s
			out[i], out[j] = max(out[i], math.Abs(u)), max(out[j], math.Abs(v))
		}
	}
	var shape [3]int
	for a := range shape {
		if scaling != nil && scaling.Axes[a] && scaling.Ranges["scale"][1] > 1 {
			room := shrink
			if r, ok := scaling.Ranges["room"]; ok {
				room = r[0]
			}
			out[a] /= room
		}
		shape[a] = int(out[a])
	}
	return shape
}

func find(r plan.Recipe, op string) *plan.Transform {
	i := slices.IndexFunc(r.Augmentation, func(t plan.Transform) bool { return t.Op == op && t.P > 0 })
	if i < 0 {
		return nil
	}
	return &r.Augmentation[i]
}
