package dataset

import (
	"math"
	"math/rand/v2"

	"github.com/gounet/gounet/core/volume"
)

// Forced is the number of the last samples of a batch whose patches are forced
// to hold foreground: nnU-Net forces those with index ≥ round(batch·(1 − oversample)).
func Forced(batch int, oversample float64) int {
	return batch - int(math.RoundToEven(float64(batch)*(1-oversample)))
}

// Corner draws the lower corner of a crop, D H W, which may lie outside of the
// case: nnU-Net pads cases that are smaller than the crop on both sides. Forced,
// the crop is centred on a random voxel of a random class that is present, but
// does not begin before the padding.
func (s *Sample) Corner(r *rand.Rand, crop [3]int, forced bool) (lo [3]int) {
	var least [3]int
	for a, n := range s.Shape {
		pad := max(0, crop[a]-n)
		least[a] = -(pad / 2)
		most := n + pad/2 + pad%2 - crop[a]
		lo[a] = least[a] + r.IntN(most-least[a]+1)
	}
	if !forced || len(s.Classes) == 0 {
		return lo
	}
	list := s.Locations[r.IntN(len(s.Locations))]
	v := int(list[r.IntN(len(list))])
	at := [3]int{v / (s.Shape[1] * s.Shape[2]), v / s.Shape[2] % s.Shape[1], v % s.Shape[2]}
	for a := range lo {
		lo[a] = max(least[a], at[a]-crop[a]/2)
	}
	return lo
}

// CornerByComponent draws a corner as Corner does, but forced, the crop has as much of a
// random component of a random label as it holds, or all of it somewhere; then it may end
// outside of the case. Source: NVIDIA's biased crop (DALI's random_object_bbox and
// roi_random_crop).
func (s *Sample) CornerByComponent(r *rand.Rand, crop [3]int, forced bool) [3]int {
	lo := s.Corner(r, crop, false)
	s.findComponents.Do(func() { s.components = s.boxes() })
	if !forced || len(s.components) == 0 {
		return lo
	}
	of := s.components[r.IntN(len(s.components))]
	box := of[r.IntN(len(of))]
	for a, n := range s.Shape {
		least := -max(0, crop[a]-n) / 2 // where the padding begins
		first, last := box.Lo[a], box.Hi[a]-crop[a]
		if last < first {
			first, last = max(least, last), first
		}
		lo[a] = first + r.IntN(last-first+1)
	}
	return lo
}

// boxes are those of the connected components of each label that is present.
func (s *Sample) boxes() (boxes [][]volume.Box) {
	var present [volume.Outside]bool
	for _, l := range s.Labels {
		if l != volume.Outside {
			present[l] = true
		}
	}
	mask := make([]bool, len(s.Labels))
	for l := 1; l < volume.Outside; l++ {
		if !present[l] {
			continue
		}
		for i, v := range s.Labels {
			mask[i] = int(v) == l
		}
		boxes = append(boxes, volume.ComponentBoxes(mask, s.Shape, volume.Faces))
	}
	return boxes
}

// Crop copies a crop at the corner lo: image [d h w C] and labels [d h w]. What
// lies outside of the case is 0 in the image and 255 in the labels.
func (s *Sample) Crop(lo, crop [3]int, image []float32, labels []uint8) {
	first, last := max(0, -lo[2]), min(crop[2], s.Shape[2]-lo[2])
	for d := range crop[0] {
		for h := range crop[1] {
			row := (d*crop[1] + h) * crop[2]
			im, lab := image[row*s.C:][:crop[2]*s.C], labels[row:][:crop[2]]
			z, y := lo[0]+d, lo[1]+h
			if z < 0 || y < 0 || z >= s.Shape[0] || y >= s.Shape[1] || first >= last {
				outside(im, lab)
				continue
			}
			src := (z*s.Shape[1]+y)*s.Shape[2] + lo[2]
			outside(im[:first*s.C], lab[:first])
			copy(im[first*s.C:last*s.C], s.Image[(src+first)*s.C:])
			copy(lab[first:last], s.Labels[src+first:])
			outside(im[last*s.C:], lab[last:])
		}
	}
}

// CropPrevious copies a crop of the labels of the previous stage, [d h w]; what lies
// outside of the case is 255.
func (s *Sample) CropPrevious(lo, crop [3]int, labels []uint8) {
	for i := range labels {
		labels[i] = 255
	}
	first, last := max(0, -lo[2]), min(crop[2], s.Shape[2]-lo[2])
	for d := max(0, -lo[0]); d < min(crop[0], s.Shape[0]-lo[0]); d++ {
		for h := max(0, -lo[1]); h < min(crop[1], s.Shape[1]-lo[1]) && first < last; h++ {
			src := ((lo[0]+d)*s.Shape[1]+lo[1]+h)*s.Shape[2] + lo[2]
			copy(labels[(d*crop[1]+h)*crop[2]:][first:last], s.Previous[src+first:])
		}
	}
}

func outside(image []float32, labels []uint8) {
	clear(image)
	for i := range labels {
		labels[i] = 255
	}
}
