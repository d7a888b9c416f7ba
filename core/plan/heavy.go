package plan

import (
	"maps"
	"math"
	"reflect"
)

// DA5 is the augmentation of nnU-Net's nnUNetTrainerDA5 for images of dim 2 or 3, which
// mirrors along axes D H W. Where it does not along one that the images have, left and right are to be
// told apart, and transpositions, which exchange them, are left out.
//
// Both of its gammas are of the inverted image, as in the original.
func DA5(dim int, mirror [3]bool) []Transform {
	all := [3]bool{dim == 3, true, true}
	factor := func() map[string]Range { return map[string]Range{"below": {0.5, 1}, "above": {1, 2}} }
	gamma := func() map[string]Range { return map[string]Range{"below": {0.7, 1}, "above": {1, 1.5}} }
	bell := func(below, above Range) map[string]Range {
		return map[string]Range{"scale": {1. / 6, 1}, "place": {-0.5, 1.5}, "below": below, "above": above}
	}
	standard := NNUNet(dim).Augmentation
	rotation := standard[0]
	rotation.P, rotation.PAxis, rotation.Ranges = 0.4, 0.5, maps.Clone(rotation.Ranges)
	list := []Transform{
		rotation,
		{Op: Scaling, P: 0.2, PChannel: 1, Shared: true, Axes: all, Draw: EachAxis, Ranges: map[string]Range{"scale": {0.7, 1.43}, "room": {0.7, 0.7}}},
		{Op: Rotation90, P: 0.5, PChannel: 1, Shared: true, Axes: all},
	}
	if mirror[1] && mirror[2] && (mirror[0] || dim == 2) {
		list = append(list, Transform{Op: Transposition, P: 0.5, PChannel: 1, Shared: true, Axes: all})
	}
	return append(list,
		Transform{Op: Median, P: 0.2, PChannel: 0.5, Axes: all, Choice: "smooth", Ranges: map[string]Range{"size": {2, 7}}},
		Transform{Op: Blur, P: 0.2, PChannel: 0.5, Axes: all, Choice: "smooth", Draw: AllAxes, Ranges: map[string]Range{"sigma": {0.3, 1.5}}},
		Transform{Op: Noise, P: 0.1, PChannel: 1, Shared: true, Axes: all, Ranges: map[string]Range{"sigma": {0, 0.1}}},
		Transform{Op: Shift, P: 0.1, PChannel: 0.5, Axes: all, Ranges: map[string]Range{"sigma": {0.5, 0.5}}},
		Transform{Op: Contrast, P: 0.2, PChannel: 0.5, Axes: all, Choice: "contrast", Ranges: factor()},
		Transform{Op: ContrastOpen, P: 0.2, PChannel: 0.5, Axes: all, Choice: "contrast", Ranges: factor()},
		Transform{Op: LowRes, P: 0.15, PChannel: 0.5, Axes: all, Ranges: map[string]Range{"scale": {0.25, 1}}},
		Transform{Op: GammaInverted, P: 0.1, PChannel: 1, Axes: all, Ranges: gamma()},
		Transform{Op: GammaInverted, P: 0.1, PChannel: 1, Axes: all, Ranges: gamma()},
		Transform{Op: Mirror, P: 0.5, PChannel: 1, Shared: true, Axes: mirror},
		Transform{Op: BlankBoxes, P: 0.4, PChannel: 0.5, Axes: all, Ranges: map[string]Range{"count": {1, 4}, "edge": {0.1, 1. / 3}}},
		Transform{Op: Gradient, P: 0.3, PChannel: 0.5, Axes: all, Ranges: bell(Range{-5, -1}, Range{1, 5})},
		Transform{Op: LocalGamma, P: 0.3, PChannel: 0.5, Axes: all, Ranges: bell(Range{0.01, 0.8}, Range{1.5, 4})},
		Transform{Op: Sharpening, P: 0.2, PChannel: 0.5, Axes: all, Ranges: map[string]Range{"strength": {0.1, 1}}},
		Transform{Op: Morphology, P: 0.4, PChannel: 1, Axes: all, Ranges: map[string]Range{"radius": {1, 8}}},
		Transform{Op: Removal, P: 0.2, PChannel: 1, Axes: all, Ranges: map[string]Range{"share": {0, 0.15}}},
	)
}

// Values of Recipe.Augment.
const (
	AugmentNNUNet = "nnunet" // the list of nnU-Net's default trainer
	AugmentDA5    = "da5"    // its heavy one
)

// Augment gives r, for images of dim 2 or 3, the augmentation of that name in the place of
// its own; along which axes it mirrors stays.
func (r *Recipe) Augment(name string, dim int) {
	r.Augmentation = augmentations()[name](dim, r.mirrors())
}

// AugmentationName is what Augment was told; "" of a list without a name.
func (r *Recipe) AugmentationName() string {
	for name, list := range augmentations() {
		for dim := 2; dim <= 3; dim++ {
			if reflect.DeepEqual(r.Augmentation, list(dim, r.mirrors())) {
				return name
			}
		}
	}
	return ""
}

func augmentations() map[string]func(dim int, mirror [3]bool) []Transform {
	return map[string]func(dim int, mirror [3]bool) []Transform{
		AugmentDA5: DA5,
		AugmentNNUNet: func(dim int, mirror [3]bool) []Transform {
			list := NNUNet(dim).Augmentation
			for i := range list {
				if list[i].Op == Mirror {
					list[i].Axes = mirror
				}
			}
			return list
		},
	}
}

// mirrors are the axes along which r mirrors in training.
func (r *Recipe) mirrors() [3]bool {
	for _, t := range r.Augmentation {
		if t.Op == Mirror {
			return t.Axes
		}
	}
	return r.Inference.Mirror
}

// turns says whether t exchanges axes, which must then have one size.
func turns(t Transform) bool { return t.Op == Rotation90 || t.Op == Transposition }

// equalAxes are those of the most common size of a patch; two says that there are as many at least.
func equalAxes(c *Configuration) (axes [3]bool, two bool) {
	most := 1
	var times [3]int
	first := 3 - c.Dim
	for a := first; a < 3; a++ {
		for b := first; b < 3; b++ {
			if c.Patch[a] == c.Patch[b] {
				times[a]++
			}
		}
		most = max(most, times[a])
	}
	for a := first; a < 3; a++ {
		axes[a] = times[a] == most
	}
	return axes, most > 1
}

// Edges are the least and the largest edge, in voxels, of a box of BlankBoxes in a patch's edge of
// n voxels.
func (t Transform) Edges(n int) (least, most int) {
	share := t.Ranges["edge"]
	floor := func(s float64) int { return int(math.Floor(s*float64(n) + 1e-9)) } // of a third, which is none in binary
	least = max(1, floor(share[0]))
	return least, max(least, floor(share[1])-1)
}
