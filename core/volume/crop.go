package volume

import (
	"fmt"
)

// NonzeroMask is true at the voxels where any channel of im differs from 0, and
// in the holes between them (nnU-Net's create_nonzero_mask).
func NonzeroMask(im *Image) []bool {
	mask := make([]bool, im.Voxels())
	plane := im.Shape[1] * im.Shape[2]
	parallel(im.Shape[0], none, func(d int, _ struct{}) {
		data := im.Data[d*plane*im.C : (d+1)*plane*im.C]
		for v := range plane {
			for _, x := range data[v*im.C : (v+1)*im.C] {
				if x != 0 {
					mask[d*plane+v] = true
					break
				}
			}
		}
	})
	FillHoles(mask, im.Shape)
	return mask
}

// positiveMask is true where a channel is above 0.
func positiveMask(im *Image) []bool {
	mask := make([]bool, len(im.Data)/im.C)
	for i := range mask {
		for _, x := range im.Data[i*im.C : (i+1)*im.C] {
			mask[i] = mask[i] || x > 0
		}
	}
	return mask
}

// BoundingBox is the smallest box around the true voxels of mask [D H W], or the
// whole volume if there are none, as in nnU-Net.
func BoundingBox(mask []bool, shape [3]int) Box {
	b := Box{Lo: shape}
	for row := range shape[0] * shape[1] {
		line := mask[row*shape[2] : (row+1)*shape[2]]
		first := 0
		for first < len(line) && !line[first] {
			first++
		}
		if first == len(line) {
			continue
		}
		last := len(line) - 1
		for !line[last] {
			last--
		}
		b.include(row/shape[1], row%shape[1], first)
		b.include(row/shape[1], row%shape[1], last)
	}
	if b.Hi == [3]int{} {
		return Whole(shape)
	}
	return b
}

// include makes b large enough to hold a voxel.
func (b *Box) include(d, h, w int) {
	for a, x := range [3]int{d, h, w} {
		b.Lo[a] = min(b.Lo[a], x)
		b.Hi[a] = max(b.Hi[a], x+1)
	}
}

// markOutside sets the labels that are 0 outside the mask to Outside.
func markOutside(labels []uint8, mask []bool) {
	for i, in := range mask {
		if !in && labels[i] == 0 {
			labels[i] = Outside
		}
	}
}

// CropToNonzero is nnU-Net's crop_to_nonzero: im and seg within the bounding box
// of the non-zero mask, the label 0 outside the mask turned into Outside. With a
// nil seg the labels are 0 inside the mask and Outside elsewhere. The arguments
// are not changed.
func CropToNonzero(im *Image, seg *Labels) (*Image, *Labels, Box, error) {
	if err := checkPair(im, seg); err != nil {
		return nil, nil, Box{}, fmt.Errorf("volume: crop: %w", err)
	}
	mask := NonzeroMask(im)
	box := BoundingBox(mask, im.Shape)
	return im.Crop(box), cropLabels(im.Grid, seg, mask, box, SameAxes()), box, nil
}

// cropLabels is the part in b of seg (or of zeros, if seg is nil), marked with
// Outside, with its axes in the order x.
func cropLabels(g Grid, seg *Labels, mask []bool, b Box, x Axes) *Labels {
	out := NewLabels(g.Cropped(b).Transposed(x))
	if seg != nil {
		copyTransposed(out.Data, seg.Data, g.Shape, 1, b, x)
	}
	inside := make([]bool, len(out.Data))
	copyTransposed(inside, mask, g.Shape, 1, b, x)
	markOutside(out.Data, inside)
	return out
}

// checkPair reports images and labels that do not fit.
func checkPair(im *Image, seg *Labels) error {
	if im.C < 1 || len(im.Data) != im.Voxels()*im.C {
		return fmt.Errorf("image has %d values for shape %v and %d channels, want %d", len(im.Data), im.Shape, im.C, im.Voxels()*im.C)
	}
	if seg == nil {
		return nil
	}
	if seg.Shape != im.Shape {
		return fmt.Errorf("labels have shape %v, the image has %v (D H W): use the label map made for this image", seg.Shape, im.Shape)
	}
	if len(seg.Data) != seg.Voxels() {
		return fmt.Errorf("labels have %d values for shape %v, want %d", len(seg.Data), seg.Shape, seg.Voxels())
	}
	return nil
}

// NotFiniteError says that an image has values that are not numbers.
type NotFiniteError struct {
	Count   int    // values that are NaN or infinite
	First   [3]int // D H W of the first
	Channel int    // of the first
	Value   float32
}

func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("%d values are NaN or infinite, the first (%v) in channel %d at voxel D %d, H %d, W %d: replace them with numbers",
		e.Count, e.Value, e.Channel, e.First[0], e.First[1], e.First[2])
}

// CheckFinite returns a *NotFiniteError if im has NaN or infinite values.
func CheckFinite(im *Image) error {
	row := im.Shape[2] * im.C
	count := make([]int, im.Shape[0])
	first := make([]int, im.Shape[0])
	parallel(im.Shape[0], none, func(d int, _ struct{}) {
		at := d * im.Shape[1] * row
		for i, v := range im.Data[at : at+im.Shape[1]*row] {
			if v-v != 0 { // NaN for both
				if count[d] == 0 {
					first[d] = at + i
				}
				count[d]++
			}
		}
	})
	var e *NotFiniteError
	for d, n := range count {
		if n == 0 {
			continue
		}
		if e == nil {
			i := first[d]
			v := i / im.C
			e = &NotFiniteError{
				First:   [3]int{d, v / im.Shape[2] % im.Shape[1], v % im.Shape[2]},
				Channel: i % im.C, Value: im.Data[i],
			}
		}
		e.Count += n
	}
	if e == nil {
		return nil
	}
	return e
}
