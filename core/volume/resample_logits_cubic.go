package volume

import "fmt"

// CubicLogits says whether NVIDIA's way of ExportCubic differs from Export for p at all:
// where nothing is resampled both are the same.
func (p Placement) CubicLogits() bool { return p.Shape != p.Cropped }

// ExportCubic is ExportLogits as NVIDIA's nnU-Net resamples logits: a class at a time by
// cubic B-splines on all axes, kept within the range of the class. Memory: beside logits
// [D H W k] and the result an array of one class at each of the two sizes, twice.
func (p Placement) ExportCubic(logits []float32, k int) (*Logits, error) {
	out := &Logits{Shape: p.Cropped, Spacing: p.CropSpacing, K: k, Data: make([]float32, p.Crop.Voxels()*k)}
	err := p.eachCubic(logits, k, func(c int, z []float32) {
		for i, x := range z {
			out.Data[i*k+c] = x
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// LabelsCubic are the labels [D H W] of the cropped shape that ExportCubic's logits decide
// on, without storing them: the first largest, or with regions, a value for each class, the
// last of those above 0, else 0.
func (p Placement) LabelsCubic(logits []float32, k int, regions []uint8) ([]uint8, error) {
	labels, most := make([]uint8, p.Crop.Voxels()), make([]float32, p.Crop.Voxels())
	err := p.eachCubic(logits, k, func(c int, z []float32) {
		for i, x := range z {
			switch {
			case regions != nil && x > 0:
				labels[i] = regions[c]
			case regions == nil && (c == 0 || x > most[i]):
				labels[i], most[i] = uint8(c), x
			}
		}
	})
	return labels, err
}

// eachCubic hands out the logits of each class on the cropped shape; z is valid until use
// returns.
func (p Placement) eachCubic(logits []float32, k int, use func(c int, z []float32)) error {
	if err := p.logits(logits, k).check(p.Cropped, p.CropSpacing); err != nil {
		return fmt.Errorf("volume: export: %w", err)
	}
	one := &Image{Grid: Grid{Shape: p.Shape, Spacing: p.Spacing}, C: 1, Data: make([]float32, len(logits)/k)}
	o := axisOrders{order: [3]Order{Cubic, Cubic, Cubic}, separate: -1}
	if p.Shape[2] == p.Cropped[2] { // see resampleImagePlanes
		o.order = [3]Order{catmullRom, catmullRom, Nearest}
	}
	for c := range k {
		for i := range one.Data {
			one.Data[i] = logits[i*k+c]
		}
		r, err := one.resampleTo(p.Cropped, p.CropSpacing, o)
		if err != nil {
			return fmt.Errorf("volume: export: %w", err)
		}
		use(c, r.Data)
	}
	return nil
}
