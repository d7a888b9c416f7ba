package volume

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// thick is how many times the finest spacing the coarsest must exceed for its
// axis to be resampled on its own: nnU-Net's ANISO_THRESHOLD.
const thick = 3

// ResampledShape is the shape that a grid takes when its spacing changes from
// from to to: round(from/to · n), halves to even, as Python rounds.
func ResampledShape(shape [3]int, from, to [3]float64) [3]int {
	var out [3]int
	for a := range 3 {
		out[a] = int(math.RoundToEven(from[a] / to[a] * float64(shape[a])))
	}
	return out
}

// SeparateAxis says whether nnU-Net resamples one axis on its own, with the
// nearest slice, when the spacing changes from from to to, and which: the
// coarsest axis of the first of the two whose max/min is above 3, if that axis
// is the only coarsest one (determine_do_sep_z_and_axis).
func SeparateAxis(from, to [3]float64) (axis int, ok bool) {
	for _, s := range [][3]float64{from, to} {
		coarsest := slices.Max(s[:])
		if coarsest/slices.Min(s[:]) <= thick {
			continue
		}
		count := 0
		for a, v := range s {
			if coarsest/v == 1 {
				axis, count = a, count+1
			}
		}
		if count == 1 {
			return axis, true
		}
		return 0, false
	}
	return 0, false
}

// axisOrders are the orders to resample the three axes with.
type axisOrders struct {
	order    [3]Order
	separate int // the axis that is resampled on its own, or −1
}

func ordersFor(from, to [3]float64, order Order) axisOrders {
	o := axisOrders{order: [3]Order{order, order, order}, separate: -1}
	if axis, ok := SeparateAxis(from, to); ok {
		o.order[axis], o.separate = Nearest, axis // nnU-Net's order_z 0
	}
	return o
}

// kernels are those from one shape to another.
func (o axisOrders) kernels(from, to [3]int) [3]*kernel {
	var k [3]*kernel
	for a := range 3 {
		k[a] = newKernel(from[a], to[a], o.order[a])
	}
	return k
}

// ResampleImage resamples im to a shape of spacing mm, as nnU-Net's
// resample_data_or_seg_to_shape does: B-splines of the order with edge values
// continued, clipped to the range of the input; the axis of thick slices, if
// SeparateAxis says so, by the nearest slice (and clipped slice by slice).
// Image data takes order Cubic in nnU-Net's plans. It holds two more arrays of
// at most the size of the larger one. im is not changed; the result shares no
// memory with it.
func ResampleImage(im *Image, shape [3]int, spacing [3]float64, order Order) (*Image, error) {
	if order != Nearest && order != Linear && order != Cubic {
		return nil, fmt.Errorf("volume: resample: order %d, want 0 (nearest), 1 (linear) or 3 (cubic)", order)
	}
	return im.resampleTo(shape, spacing, ordersFor(im.Spacing, spacing, order))
}

// resampleTo does what ResampleImage does, with these orders.
func (im *Image) resampleTo(shape [3]int, spacing [3]float64, o axisOrders) (*Image, error) {
	if err := checkResample(im.Shape, shape, im.Spacing, spacing); err != nil {
		return nil, err
	}
	out := &Image{Grid: im.Resampled(shape, spacing), C: im.C}
	if shape == im.Shape {
		out.Data = slices.Clone(im.Data)
		return out, nil
	}
	kernels := o.kernels(im.Shape, shape)
	var limits []valueRange
	if slices.Contains(o.order[:], Cubic) || slices.Contains(o.order[:], catmullRom) { // both overshoot
		limits = ranges(im, o.separate)
	}
	data, now := im.Data, im.Shape
	for _, axis := range passOrder(kernels, o.separate) {
		next := now
		next[axis] = shape[axis]
		if kernels[axis].identity() {
			continue
		}
		if axis == o.separate && now != im.Shape {
			clip(data, now, im.C, o.separate, limits)
		}
		resampled := make([]float32, next[0]*next[1]*next[2]*im.C)
		kernels[axis].along(resampled, data, now, axis, im.C)
		data, now = resampled, next
	}
	if o.separate < 0 || kernels[o.separate].identity() {
		clip(data, now, im.C, o.separate, limits)
	}
	out.Data = data
	return out, nil
}

func checkResample(from, to [3]int, fromSpacing, toSpacing [3]float64) error {
	for a := range 3 {
		if from[a] < 1 || to[a] < 1 {
			return fmt.Errorf("volume: resample: from shape %v to %v, want at least one voxel an axis", from, to)
		}
		if !(fromSpacing[a] > 0) || !(toSpacing[a] > 0) {
			return fmt.Errorf("volume: resample: from spacing %v to %v mm, want more than 0: correct the header", fromSpacing, toSpacing)
		}
	}
	return nil
}

// passOrder is the order in which the axes are resampled: those that shrink
// most first, the separate axis last.
func passOrder(k [3]*kernel, separate int) []int {
	axes := []int{0, 1, 2}
	slices.SortStableFunc(axes, func(a, b int) int {
		if a == separate || b == separate {
			return cmp.Compare(b2i(a == separate), b2i(b == separate))
		}
		return cmp.Compare(float64(k[a].m)/float64(k[a].n), float64(k[b].m)/float64(k[b].n))
	})
	return axes
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// valueRange is the smallest and the largest of some values.
type valueRange struct{ lo, hi float32 }

// ranges are those of each channel of im, [C], or with an axis ≥ 0 those of each
// of its slices, [slices C].
func ranges(im *Image, axis int) []valueRange {
	count := 1
	if axis >= 0 {
		count = im.Shape[axis]
	}
	partial := make([][]valueRange, im.Shape[0])
	parallel(im.Shape[0], none, func(d int, _ struct{}) {
		r := newRanges(count * im.C)
		forSlices(im.Shape, im.C, axis, d, func(at, n, slice int) {
			for c := range im.C {
				p := r[slice*im.C+c]
				for i := at + c; i < at+n; i += im.C {
					v := im.Data[i]
					if v < p.lo {
						p.lo = v
					}
					if v > p.hi {
						p.hi = v
					}
				}
				r[slice*im.C+c] = p
			}
		})
		partial[d] = r
	})
	out := newRanges(count * im.C)
	for _, r := range partial {
		for i, v := range r {
			out[i].lo, out[i].hi = min(out[i].lo, v.lo), max(out[i].hi, v.hi)
		}
	}
	return out
}

func newRanges(n int) []valueRange {
	r := make([]valueRange, n)
	for i := range r {
		r[i] = valueRange{lo: float32(math.Inf(1)), hi: float32(math.Inf(-1))}
	}
	return r
}

// forSlices calls f for the stretches of plane d of an array [D H W c] that
// belong to one slice along axis (0 for all if axis is negative).
func forSlices(shape [3]int, c, axis, d int, f func(at, n, slice int)) {
	row := shape[2] * c
	for h := range shape[1] {
		at := (d*shape[1] + h) * row
		switch axis {
		case 0:
			f(at, row, d)
		case 1:
			f(at, row, h)
		case 2:
			for w := range shape[2] {
				f(at+w*c, c, w)
			}
		default:
			f(at, row, 0)
		}
	}
}

// clip limits data [D H W c] to the ranges of its channels, or of its slices;
// without ranges it does nothing.
func clip(data []float32, shape [3]int, c, axis int, limits []valueRange) {
	if limits == nil {
		return
	}
	parallel(shape[0], none, func(d int, _ struct{}) {
		forSlices(shape, c, axis, d, func(at, n, slice int) {
			for j := range c {
				p := limits[slice*c+j]
				for i := at + j; i < at+n; i += c {
					if v := data[i]; v < p.lo {
						data[i] = p.lo
					} else if v > p.hi {
						data[i] = p.hi
					}
				}
			}
		})
	})
}
