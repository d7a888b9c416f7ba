package volume

import (
	"fmt"
	"math"
)

// maxVoxels of a preprocessed case: int32 counts them.
const maxVoxels = 1 << 31

// PreprocessOptions say what a configuration of a plan does to a case.
type PreprocessOptions struct {
	Axes       Axes            // the plan's transpose_forward
	Spacing    [3]float64      // target in mm, of the axes after the transposition; 0 keeps that axis' own (the slices of 2d)
	Normalize  []Normalization // one a channel
	OrderImage Order           // of the image's resampling: Cubic in nnU-Net's plans

	// What NVIDIA's nnU-Net does otherwise.
	Positive      bool `json:",omitempty"` // crop to voxels above 0 instead of those that are not 0
	Truncate      bool `json:",omitempty"` // round the resampled shape down
	NormalizeLast bool `json:",omitempty"` // behind the resampling
	Planes        bool `json:",omitempty"` // resample by the rules of resample_planes.go
	Foreground    Mask `json:",omitempty"` // a channel more, behind those of the image; of NormalizeLast

	MaxBytes int64 `json:"-"` // a case that becomes larger is an error; 0: any size below 2³¹ voxels
}

// Placement is how a preprocessed case lies in its scan: all that the way back
// needs. Axes are those after the transposition, except in Original.
type Placement struct {
	Original    Grid       // of the scan, in the file's axes
	Axes        Axes       // the transposition that was applied
	BeforeCrop  [3]int     // shape of the scan
	Crop        Box        // in the scan
	Cropped     [3]int     // shape of Crop
	CropSpacing [3]float64 // mm, before resampling
	Shape       [3]int     // of the preprocessed case
	Spacing     [3]float64 // mm, of the preprocessed case
}

// Preprocessed is a case as the network gets it.
type Preprocessed struct {
	Image  *Image
	Labels *Labels // nil if the case has none
	Placement
}

// Preprocess does what nnU-Net's DefaultPreprocessor does to a case, in its
// order: transpose, crop to the non-zero region, normalise, resample. seg, on
// the grid of im, may be nil. The arguments are not changed.
//
// Errors: NaN or infinite voxels (*NotFiniteError), shapes that differ, channels
// that the plan does not have, a spacing that is not positive, a result that is
// larger than MaxBytes.
func Preprocess(im *Image, seg *Labels, o PreprocessOptions) (*Preprocessed, error) {
	if err := o.check(im, seg); err != nil {
		return nil, fmt.Errorf("volume: preprocess: %w", err)
	}
	mask := NonzeroMask(im)
	if o.Positive {
		mask = positiveMask(im)
	}
	box := BoundingBox(mask, im.Shape)
	place := o.place(im.Grid, box)
	if err := o.checkSize(place, im.C+b2i(o.Foreground != ""), seg != nil); err != nil {
		return nil, fmt.Errorf("volume: preprocess: %w", err)
	}
	cropped := im.cropTranspose(box, o.Axes)
	var labels *Labels
	if seg != nil || o.needMask() {
		labels = cropLabels(im.Grid, seg, mask, box, o.Axes)
	}
	if !o.NormalizeLast {
		if err := Normalize(cropped, labels, o.Normalize); err != nil {
			return nil, err
		}
	}
	p := &Preprocessed{Placement: place}
	var err error
	resampleImage, resampleLabels := ResampleImage, ResampleLabels
	if o.Planes {
		resampleImage, resampleLabels = resampleImagePlanes, resampleLabelsPlanes
	}
	if p.Image, err = resampleImage(cropped, p.Shape, p.Spacing, o.OrderImage); err != nil {
		return nil, err
	}
	if o.NormalizeLast {
		if err := o.normalizeLast(p); err != nil {
			return nil, err
		}
	}
	if seg == nil {
		return p, nil
	}
	if p.Labels, err = resampleLabels(labels, p.Shape, p.Spacing); err != nil {
		return nil, err
	}
	return p, nil
}

func (o PreprocessOptions) check(im *Image, seg *Labels) error {
	if err := checkPair(im, seg); err != nil {
		return err
	}
	if err := o.Axes.Check(); err != nil {
		return err
	}
	for a := range 3 {
		if !(im.Spacing[a] > 0) || !(o.Spacing[a] >= 0) {
			return fmt.Errorf("spacing %v to %v mm (D H W), want more than 0: correct the header", im.Spacing, o.Spacing)
		}
	}
	if len(o.Normalize) != im.C {
		return fmt.Errorf("the image has %d channels, the plan has %d: give the channels of the plan's dataset", im.C, len(o.Normalize))
	}
	return CheckFinite(im)
}

// checkSize holds a case of c channels against the memory it needs, before any of
// it is taken. It counts in float64: a tiny spacing overflows integers.
func (o PreprocessOptions) checkSize(p Placement, c int, labels bool) error {
	var shape [3]float64
	voxels := 1.0
	for a := range 3 {
		shape[a] = max(1, math.RoundToEven(p.CropSpacing[a]/p.Spacing[a]*float64(p.Cropped[a])))
		voxels *= shape[a]
	}
	bytes := voxels * 4 * float64(c)
	if labels {
		bytes += voxels
	}
	if voxels < maxVoxels && (o.MaxBytes == 0 || bytes <= float64(o.MaxBytes)) {
		return nil
	}
	limit := "less than 2³¹ voxels"
	if voxels < maxVoxels {
		limit = fmt.Sprintf("at most the %.1f GiB of memory that are free", float64(o.MaxBytes)/(1<<30))
	}
	return fmt.Errorf("the case would become %.0f×%.0f×%.0f voxels (D H W; %.1f GiB) at spacing %v mm, wanted %s: choose a larger spacing",
		shape[0], shape[1], shape[2], bytes/(1<<30), p.Spacing, limit)
}

// Whole says where a scan on grid g comes to lie if none of it can be cropped. A grid
// that is empty, and 2³¹ voxels or more, are errors.
func (o PreprocessOptions) Whole(g Grid) (Placement, error) {
	for a := range 3 {
		if g.Shape[a] < 1 || !(g.Spacing[a] > 0) {
			return Placement{}, fmt.Errorf("volume: shape %v and spacing %v mm (D H W), wanted more than 0", g.Shape, g.Spacing)
		}
	}
	place := o.place(g, Box{Hi: g.Shape})
	o.MaxBytes = 0 // of a whole scan: the crop may be smaller
	if err := o.checkSize(place, len(o.Normalize)+b2i(o.Foreground != ""), false); err != nil {
		return Placement{}, fmt.Errorf("volume: %w", err)
	}
	return place, nil
}

// needMask reports whether a channel is normalised inside the mask only.
func (o PreprocessOptions) needMask() bool {
	for _, n := range o.Normalize {
		if n.Scheme == ZScore && n.MaskOnly {
			return true
		}
	}
	return false
}

// place says where a case with a crop box, in the file's axes, comes to lie.
func (o PreprocessOptions) place(g Grid, box Box) Placement {
	p := Placement{
		Original:    g,
		Axes:        o.Axes,
		BeforeCrop:  reorder(g.Shape, o.Axes),
		Crop:        Box{Lo: reorder(box.Lo, o.Axes), Hi: reorder(box.Hi, o.Axes)},
		CropSpacing: reorder(g.Spacing, o.Axes),
		Spacing:     o.Spacing,
	}
	p.Cropped = p.Crop.Shape()
	for a := range 3 {
		if p.Spacing[a] == 0 {
			p.Spacing[a] = p.CropSpacing[a]
		}
	}
	p.Shape = ResampledShape(p.Cropped, p.CropSpacing, p.Spacing)
	for a := range 3 {
		if o.Truncate {
			p.Shape[a] = int(p.CropSpacing[a] / p.Spacing[a] * float64(p.Cropped[a]))
		}
	}
	for a := range 3 {
		p.Shape[a] = max(p.Shape[a], 1) // nnU-Net fails on an axis thinner than half a voxel
	}
	return p
}
