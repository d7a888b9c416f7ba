package predict

import (
	"math"

	"github.com/gounet/gounet/core/volume"
)

// uncertainty is, of each voxel of the scan, 255 times the probability that its label
// is wrong, by what the model says itself: 1 − the largest softmax, and with regions
// the largest min(p, 1 − p) of them. What was cropped away is certain.
func (p *Predictor) uncertainty(place volume.Placement, logits []float32) (*volume.Labels, error) {
	k, unsure := p.plan.Classes(), unsureClass
	if p.plan.HasRegions() {
		unsure = unsureRegions
	}
	width := place.Cropped[2]
	out := make([]uint8, place.Crop.Voxels())
	l := &volume.Logits{Shape: place.Shape, Spacing: place.Spacing, K: k, Data: logits}
	if p.cubic(place) {
		var err error
		if l, err = place.ExportCubic(logits, k); err != nil {
			return nil, err
		}
	}
	err := volume.ResampleLogitsRows(l, place.Cropped, place.CropSpacing, func(row int, z []float32) {
		for i := range width {
			out[row*width+i] = uint8(math.Round(255 * unsure(z[i*k:(i+1)*k])))
		}
	})
	if err != nil {
		return nil, err
	}
	return place.Uncrop(out)
}

func unsureClass(z []float32) float64 {
	most, sum := z[0], 0.0
	for _, x := range z {
		most = max(most, x)
	}
	for _, x := range z {
		sum += math.Exp(float64(x - most))
	}
	return 1 - 1/sum
}

func unsureRegions(z []float32) float64 {
	least := math.Inf(1)
	for _, x := range z {
		least = min(least, math.Abs(float64(x)))
	}
	return 1 / (1 + math.Exp(least))
}
