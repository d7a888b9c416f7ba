package volume

// ResampleLabels resamples labels as nnU-Net does: the indicator of each label
// is interpolated linearly (in the plane only, where SeparateAxis says so) and
// the label with the largest value wins; of equal ones the nearest voxel's label
// if it is among them, else the smallest, Outside being −1 (batchgenerators
// 0.25.5, resize_segmentation). l is not changed; the result shares no memory
// with it.
//
// No indicator is stored: a voxel has eight neighbours, so at most eight labels.
func ResampleLabels(l *Labels, shape [3]int, spacing [3]float64) (*Labels, error) {
	return l.resampleTo(shape, spacing, ordersFor(l.Spacing, spacing, Linear), mostOf)
}

// resampleTo does what ResampleLabels does, with these orders and another choice.
func (l *Labels) resampleTo(shape [3]int, spacing [3]float64, o axisOrders, choose choice) (*Labels, error) {
	if err := checkResample(l.Shape, shape, l.Spacing, spacing); err != nil {
		return nil, err
	}
	out := NewLabels(l.Resampled(shape, spacing))
	if shape == l.Shape {
		copy(out.Data, l.Data)
		return out, nil
	}
	r := labelResampler{src: l, axis: o.kernels(l.Shape, shape), choose: choose}
	for a := range 3 {
		r.near[a] = newKernel(l.Shape[a], shape[a], Nearest).first
	}
	parallel(shape[0]*shape[1], none, func(row int, _ struct{}) {
		r.row(out.Data[row*shape[2]:(row+1)*shape[2]], row/shape[1], row%shape[1])
	})
	return out, nil
}

// labelResampler makes rows of resampled labels.
type labelResampler struct {
	src  *Labels
	axis [3]*kernel
	near [3][]int // the nearest voxel, by axis and output voxel

	choose choice
}

// choice takes one of at least two labels that stand around a place, by their weights
// and by the label of the nearest voxel.
type choice func(labels []uint8, weights []float64, near uint8) uint8

// tap is a voxel, or a row, with its weight.
type tap struct {
	at int
	w  float64
}

// pair is the one or two taps of output voxel i that have a weight, for the
// orders Nearest and Linear.
func (k *kernel) pair(i int) (taps [2]tap, n int) {
	first, w := k.first[i], k.w[i]
	taps[0] = tap{at: first, w: w[0]}
	if w[1] == 0 {
		return taps, 1
	}
	taps[1] = tap{at: first + 1, w: w[1]}
	return taps, 2
}

// row makes the output row at d, h.
func (r *labelResampler) row(dst []uint8, d, h int) {
	shape := r.src.Shape
	var rows [4]tap
	count := 0
	ds, nd := r.axis[0].pair(d)
	hs, nh := r.axis[1].pair(h)
	for _, td := range ds[:nd] {
		for _, th := range hs[:nh] {
			rows[count] = tap{at: (td.at*shape[1] + th.at) * shape[2], w: td.w * th.w}
			count++
		}
	}
	nearRow := (r.near[0][d]*shape[1] + r.near[1][h]) * shape[2]
	for w := range dst {
		ws, nw := r.axis[2].pair(w)
		dst[w] = r.vote(rows[:count], ws[:nw], nearRow+r.near[2][w])
	}
}

// vote is the label of one output voxel. Weights are multiplied and added in the
// order of the axes, as scipy does, because ties are exact.
func (r *labelResampler) vote(rows, ws []tap, nearest int) uint8 {
	data := r.src.Data
	same := true
	near := data[nearest]
	for _, row := range rows {
		for _, w := range ws {
			same = same && data[row.at+w.at] == near
		}
	}
	if same {
		return near
	}
	var label [8]uint8
	var score [8]float64
	n := 0
	for _, row := range rows {
		for _, w := range ws {
			l := data[row.at+w.at]
			i := 0
			for i < n && label[i] != l {
				i++
			}
			if i == n {
				label[i] = l
				n++
			}
			score[i] += float64(row.w * w.w)
		}
	}
	return r.choose(label[:n], score[:n], near)
}

// mostOf takes the label with the largest weight, of equal ones near, else the smallest.
func mostOf(labels []uint8, weights []float64, near uint8) uint8 {
	best := 0
	for i := 1; i < len(labels); i++ {
		switch {
		case weights[i] < weights[best] || labels[best] == near && weights[i] == weights[best]:
		case weights[i] > weights[best] || labels[i] == near || lessLabel(labels[i], labels[best]):
			best = i
		}
	}
	return labels[best]
}

// lessLabel compares labels with Outside as −1: 255 + 1 is 0 in a byte.
func lessLabel(a, b uint8) bool { return a+1 < b+1 }
