package volume

import "fmt"

// Logits are what a network says of each voxel, Data [D H W K].
type Logits struct {
	Shape   [3]int     // D H W
	Spacing [3]float64 // of D H W, in mm
	K       int        // classes, or regions
	Data    []float32
}

// A Decision turns the logits [n K] of n voxels into labels. It may be called
// from several goroutines at a time.
type Decision func(labels []uint8, logits []float32, k int)

// Argmax is the class with the largest logit, the first of equal ones.
func Argmax(labels []uint8, logits []float32, k int) {
	for i := range labels {
		row := logits[i*k : (i+1)*k]
		best := 0
		for c, x := range row {
			if x > row[best] {
				best = c
			}
		}
		labels[i] = uint8(best)
	}
}

// Regions paints, region after region, the label order[k] where the sigmoid of
// logit k is above ½ (the logit above 0), so that later ones cover earlier ones:
// nnU-Net's regions_class_order.
func Regions(order []uint8) Decision {
	return func(labels []uint8, logits []float32, k int) {
		for i := range labels {
			labels[i] = 0
			for r, x := range logits[i*k : (i+1)*k] {
				if x > 0 {
					labels[i] = order[r]
				}
			}
		}
	}
}

// ResampleLogitsRows resamples logits to another shape and spacing as nnU-Net
// does (linear; the nearest slice along the axis that SeparateAxis names) and
// hands out the result row by row, so that it never exists as a whole: use gets
// row, in [0, D*H), and its logits [W K], valid until it returns. use is called
// from several goroutines at a time, in no order.
func ResampleLogitsRows(l *Logits, shape [3]int, spacing [3]float64, use func(row int, logits []float32)) error {
	if err := l.check(shape, spacing); err != nil {
		return err
	}
	nW := l.Shape[2] * l.K
	if shape == l.Shape {
		parallel(shape[0]*shape[1], none, func(row int, _ struct{}) { use(row, l.Data[row*nW:(row+1)*nW]) })
		return nil
	}
	k := ordersFor(l.Spacing, spacing, Linear).kernels(l.Shape, shape)
	type scratch struct{ in, out []float32 }
	newScratch := func() scratch {
		return scratch{make([]float32, nW), make([]float32, shape[2]*l.K)}
	}
	parallel(shape[0]*shape[1], newScratch, func(row int, s scratch) {
		ds, nd := k[0].pair(row / shape[1])
		hs, nh := k[1].pair(row % shape[1])
		in := blendRows(s.in, l, ds[:nd], hs[:nh])
		if k[2].identity() {
			use(row, in)
			return
		}
		stretchRow(s.out, in, k[2], l.K)
		use(row, s.out)
	})
	return nil
}

// check reports logits that cannot be resampled to a shape and spacing.
func (l *Logits) check(shape [3]int, spacing [3]float64) error {
	if err := checkResample(l.Shape, shape, l.Spacing, spacing); err != nil {
		return err
	}
	if want := l.Shape[0] * l.Shape[1] * l.Shape[2] * l.K; l.K < 1 || len(l.Data) != want {
		return fmt.Errorf("volume: resample: %d logits for shape %v and %d classes, want %d", len(l.Data), l.Shape, l.K, want)
	}
	return nil
}

// blendRows is the weighted sum of up to four rows of l: in buf, or the row
// itself if there is only one.
func blendRows(buf []float32, l *Logits, ds, hs []tap) []float32 {
	n := len(buf)
	at := func(d, h tap) []float32 { return l.Data[(d.at*l.Shape[1]+h.at)*n:][:n] }
	if len(ds) == 1 && len(hs) == 1 {
		return at(ds[0], hs[0])
	}
	lerp := func(a, b []float32, t tap) {
		wb := float32(t.w)
		wa := 1 - wb
		a, b = a[:n], b[:n]
		for i := range buf {
			buf[i] = wa*a[i] + wb*b[i]
		}
	}
	switch {
	case len(ds) == 1:
		lerp(at(ds[0], hs[0]), at(ds[0], hs[1]), hs[1])
	case len(hs) == 1:
		lerp(at(ds[0], hs[0]), at(ds[1], hs[0]), ds[1])
	default:
		w := [4]float32{
			float32(ds[0].w * hs[0].w), float32(ds[0].w * hs[1].w),
			float32(ds[1].w * hs[0].w), float32(ds[1].w * hs[1].w),
		}
		a, b, c, d := at(ds[0], hs[0]), at(ds[0], hs[1]), at(ds[1], hs[0]), at(ds[1], hs[1])
		for i := range buf {
			buf[i] = w[0]*a[i] + w[1]*b[i] + w[2]*c[i] + w[3]*d[i]
		}
	}
	return buf
}

// stretchRow resamples a row [W K] along W.
func stretchRow(dst, src []float32, k *kernel, classes int) {
	for i := range k.m {
		taps, n := k.pair(i)
		y := dst[i*classes:][:classes]
		a := src[taps[0].at*classes:][:classes]
		if n == 1 {
			copy(y, a)
			continue
		}
		wa, wb := float32(taps[0].w), float32(taps[1].w)
		b := src[taps[1].at*classes:][:classes]
		for c := range y {
			y[c] = wa*a[c] + wb*b[c]
		}
	}
}

// ResampleLogits is the whole result of ResampleLogitsRows, [D H W K]: for saved
// probabilities; labels alone do not need it.
func ResampleLogits(l *Logits, shape [3]int, spacing [3]float64) (*Logits, error) {
	if err := l.check(shape, spacing); err != nil {
		return nil, err
	}
	n := shape[2] * l.K
	out := &Logits{Shape: shape, Spacing: spacing, K: l.K, Data: make([]float32, shape[0]*shape[1]*n)}
	err := ResampleLogitsRows(l, shape, spacing, func(row int, logits []float32) {
		copy(out.Data[row*n:(row+1)*n], logits)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ResampleLogitsLabels resamples logits and decides on the labels [D H W] row by
// row, without storing the resampled logits.
func ResampleLogitsLabels(l *Logits, shape [3]int, spacing [3]float64, decide Decision) ([]uint8, error) {
	if err := l.check(shape, spacing); err != nil {
		return nil, err
	}
	if l.K > MaxLabel+1 {
		return nil, fmt.Errorf("volume: resample: %d classes, want %d at most", l.K, MaxLabel+1)
	}
	labels := make([]uint8, shape[0]*shape[1]*shape[2])
	err := ResampleLogitsRows(l, shape, spacing, func(row int, logits []float32) {
		decide(labels[row*shape[2]:(row+1)*shape[2]], logits, l.K)
	})
	if err != nil {
		return nil, err
	}
	return labels, nil
}
