package predict

import "github.com/gounet/gounet/core/volume"

// cubic says whether the labels of a case are made of its logits on the host, by cubic
// B-splines: a plan of NVIDIA's does that where a scan was resampled. Splines need all of
// a line, the device has the planes around a voxel.
func (p *Predictor) cubic(place volume.Placement) bool {
	return p.config.CubicLogits() && place.CubicLogits()
}

// regions are the values that a plan with regions paints, nil for labels.
func (p *Predictor) regions() []uint8 {
	if !p.plan.HasRegions() {
		return nil
	}
	out := make([]uint8, len(p.plan.RegionOrder))
	for i, v := range p.plan.RegionOrder {
		out[i] = uint8(v)
	}
	return out
}
