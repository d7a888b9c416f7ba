package volume

import "slices"

// The rules by which NVIDIA's nnU-Net for PyTorch (22.11, with scikit-image 0.18)
// resamples, where they differ from nnU-Net's. The first axis counts as the one of
// the planes, whichever is the coarsest.

// planesThick is how many times the finest spacing the coarsest must have at least for
// planes to be resampled one by one.
const planesThick = 3

// thickPlanes says whether planes are resampled one by one.
func thickPlanes(from, to [3]float64) bool {
	for _, s := range [][3]float64{from, to} {
		if slices.Max(s[:])/slices.Min(s[:]) >= planesThick {
			return true
		}
	}
	return false
}

// resampleImagePlanes is ResampleImage by these rules: thick planes by a Catmull–Rom
// spline each, then the nearest of them. Others by order, but by the Catmull–Rom
// spline too where the last axis keeps its size, which scikit-image takes for colours.
func resampleImagePlanes(im *Image, shape [3]int, spacing [3]float64, order Order) (*Image, error) {
	o := axisOrders{order: [3]Order{order, order, order}, separate: -1}
	switch {
	case thickPlanes(im.Spacing, spacing):
		o = axisOrders{order: [3]Order{Nearest, catmullRom, catmullRom}}
	case shape[2] == im.Shape[2]:
		o.order = [3]Order{catmullRom, catmullRom, Nearest}
	}
	return im.resampleTo(shape, spacing, o)
}

// resampleLabelsPlanes is ResampleLabels by these rules: the largest label that has at
// least half of the weight, else none. Outside is none.
func resampleLabelsPlanes(l *Labels, shape [3]int, spacing [3]float64) (*Labels, error) {
	o := axisOrders{order: [3]Order{Linear, Linear, Linear}, separate: -1}
	if thickPlanes(l.Spacing, spacing) {
		o = axisOrders{order: [3]Order{Nearest, Linear, Linear}}
	}
	return l.resampleTo(shape, spacing, o, halfOf)
}

func halfOf(labels []uint8, weights []float64, _ uint8) uint8 {
	best := uint8(0)
	for i, l := range labels {
		if weights[i] >= 0.5 && l != Outside {
			best = max(best, l)
		}
	}
	return best
}
