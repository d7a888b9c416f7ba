package worker

import (
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/volume"
)

// turn brings the axes of a scan to those of a page: D to the head, H to the front,
// W to the patient's right, as nearly as the scan lies. A scan whose place is not
// known stays as it is.
type turn struct {
	from [3]int  // axis of the scan, for D H W of the page
	flip [3]bool // the page counts from its other end
	of   volume.Grid
}

func turnOf(g volume.Grid) turn {
	t := turn{from: [3]int{0, 1, 2}, of: g}
	v := preview.Views(g)
	if v[0].Edges == [4]string{} {
		return t
	}
	axial, coronal, sagittal := v[0], v[1], v[2]
	t.from = [3]int{axial.Normal, coronal.Normal, sagittal.Normal}
	t.flip = [3]bool{!coronal.FlipR, !axial.FlipR, !axial.FlipC}
	return t
}

// grid is that of the page.
func (t turn) grid() volume.Grid {
	g := volume.Grid{}
	for a, s := range t.from {
		g.Shape[a], g.Spacing[a] = t.of.Shape[s], t.of.Spacing[s]
	}
	if t.of.Affine == ([4][4]float64{}) {
		return g
	}
	g.Affine[3] = [4]float64{0, 0, 0, 1}
	for r := range 3 {
		g.Affine[r][3] = t.of.Affine[r][3]
		for a, s := range t.from {
			step := t.of.Affine[r][2-s] // columns are x y z
			if t.flip[a] {
				g.Affine[r][3] += step * float64(t.of.Shape[s]-1)
				step = -step
			}
			g.Affine[r][2-a] = step
		}
	}
	return g
}

// steps are where the page's first voxel is in the scan's order, and how far the
// next one is along D, H and W.
func (t turn) steps() (first int, step [3]int) {
	own := [3]int{t.of.Shape[1] * t.of.Shape[2], t.of.Shape[2], 1}
	for a, s := range t.from {
		step[a] = own[s]
		if t.flip[a] {
			first += own[s] * (t.of.Shape[s] - 1)
			step[a] = -own[s]
		}
	}
	return first, step
}

// toPage is src [D H W c] of the scan, of which channel c is taken, in the page's order.
func toPage[T any](t turn, src []T, channels, c int) []T {
	dst := make([]T, len(src)/channels)
	i := 0
	t.rows(func(at, step, n int) {
		for range n {
			dst[i] = src[at*channels+c]
			i++
			at += step
		}
	})
	return dst
}

// toScan is src of the page in the scan's order.
func toScan[T any](t turn, src []T) []T {
	dst := make([]T, len(src))
	i := 0
	t.rows(func(at, step, n int) {
		for range n {
			dst[at] = src[i]
			i++
			at += step
		}
	})
	return dst
}

// part is a box of the scan, whose voxels are src, in the page's order, and where it
// lies there.
func (t turn) part(b volume.Box, src []uint8) (lo, shape [3]int, dst []uint8) {
	lo, shape = t.box(b)
	t.of.Shape = b.Shape()
	return lo, shape, toPage(t, src, 1, 0)
}

// box is where a box of the scan lies in the page.
func (t turn) box(b volume.Box) (lo, shape [3]int) {
	for a, s := range t.from {
		lo[a], shape[a] = b.Lo[s], b.Hi[s]-b.Lo[s]
		if t.flip[a] {
			lo[a] = t.of.Shape[s] - b.Hi[s]
		}
	}
	return lo, shape
}

// rows visits the scan's voxels in the page's order, a row of the page at a time: where
// its first one is, how far the next, and how many they are.
func (t turn) rows(visit func(at, step, n int)) {
	first, step := t.steps()
	shape := t.grid().Shape
	for d := range shape[0] {
		for h := range shape[1] {
			visit(first+d*step[0]+h*step[1], step[2], shape[2])
		}
	}
}
