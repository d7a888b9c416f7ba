package volume

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Whole is the box of all voxels of a shape.
func Whole(shape [3]int) Box { return Box{Hi: shape} }

// Voxels is the number of voxels in b.
func (b Box) Voxels() int {
	s := b.Shape()
	return s[0] * s[1] * s[2]
}

// Axes is an order of the axes: axis a of the result is axis Axes[a] of the
// source. nnU-Net's transpose_forward.
type Axes [3]int

// SameAxes leaves the axes as they are.
func SameAxes() Axes { return Axes{0, 1, 2} }

// Check reports an order that is not one of 0, 1, 2.
func (x Axes) Check() error {
	var seen [3]bool
	for _, a := range x {
		if a < 0 || a > 2 || seen[a] {
			return fmt.Errorf("volume: axes %v, want an order of 0, 1, 2", [3]int(x))
		}
		seen[a] = true
	}
	return nil
}

// Inverse undoes x: nnU-Net's transpose_backward.
func (x Axes) Inverse() Axes {
	var y Axes
	for i, a := range x {
		y[a] = i
	}
	return y
}

// withoutLength names the axes, as x, y, z of the file, along which the affine goes
// nowhere.
func (g Grid) withoutLength() string {
	var names []string
	for i, name := range []string{"x", "y", "z"} {
		if g.Affine[0][i] == 0 && g.Affine[1][i] == 0 && g.Affine[2][i] == 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Check refuses voxels without a size or a place. A zero affine says that a picture
// has none.
func (g Grid) Check() error {
	finite := func(v float64) bool { return v-v == 0 }
	for i, s := range g.Spacing {
		if !(s > 0) || !finite(s) {
			return fmt.Errorf("spacing %v mm (D H W), wanted positive numbers: axis %d", g.Spacing, i)
		}
	}
	if g.Affine == ([4][4]float64{}) {
		return nil
	}
	for _, row := range g.Affine {
		for _, v := range row {
			if !finite(v) {
				return fmt.Errorf("affine row %v has a value that is not finite", row)
			}
		}
	}
	// Axes of unit length span less than this only if they are almost in one plane.
	const flat = 1e-6
	if det := g.Determinant() / (g.Spacing[0] * g.Spacing[1] * g.Spacing[2]); !(math.Abs(det) > flat) {
		why := "correct the directions"
		if flat := g.withoutLength(); flat != "" {
			why = fmt.Sprintf("the spacing along %s is 0: correct it", flat)
		}
		return fmt.Errorf("the axes %v of the voxels lie in one plane: %s", g.Affine[:3], why)
	}
	return nil
}

// Determinant is the volume of a voxel of the affine in mm³, negative where x y z of
// the voxels are left-handed in space.
func (g Grid) Determinant() float64 {
	m := g.Affine
	return m[0][0]*(m[1][1]*m[2][2]-m[1][2]*m[2][1]) -
		m[0][1]*(m[1][0]*m[2][2]-m[1][2]*m[2][0]) +
		m[0][2]*(m[1][0]*m[2][1]-m[1][1]*m[2][0])
}

// Picture says whether g is of a 2-D picture, whose pixels have neither a volume nor a
// place.
func (g Grid) Picture() bool { return g.Shape[0] == 1 && g.Affine == [4][4]float64{} }

// reorder is v in the order of the axes x.
func reorder[T any](v [3]T, x Axes) [3]T { return [3]T{v[x[0]], v[x[1]], v[x[2]]} }

// Transposed is g with its axes in another order.
func (g Grid) Transposed(x Axes) Grid {
	out := Grid{Shape: reorder(g.Shape, x), Spacing: reorder(g.Spacing, x), Affine: g.Affine}
	for a := range 3 {
		for r := range 4 {
			out.Affine[r][2-a] = g.Affine[r][2-x[a]]
		}
	}
	return out
}

// Flipped is g with some of its axes running the other way over the same voxels.
func (g Grid) Flipped(axes [3]bool) Grid {
	var last [3]float64
	for a, flip := range axes {
		if flip {
			last[a] = float64(g.Shape[a] - 1)
		}
	}
	g.move(last)
	for a, flip := range axes {
		for r := 0; r < 3 && flip; r++ {
			g.Affine[r][2-a] = -g.Affine[r][2-a]
		}
	}
	return g
}

// Cropped is the part of g in b.
func (g Grid) Cropped(b Box) Grid {
	out := Grid{Shape: b.Shape(), Spacing: g.Spacing, Affine: g.Affine}
	out.move([3]float64{float64(b.Lo[0]), float64(b.Lo[1]), float64(b.Lo[2])})
	return out
}

// Resampled is g cut into another number of voxels, of a nominal spacing in mm;
// the affine follows the voxels' real size, which rounding makes a little
// different from the nominal one.
func (g Grid) Resampled(shape [3]int, spacing [3]float64) Grid {
	out := Grid{Shape: shape, Spacing: spacing, Affine: g.Affine}
	var shift [3]float64
	for a := range 3 {
		scale := float64(g.Shape[a]) / float64(shape[a])
		shift[a] = scale/2 - 0.5
		for r := range 3 {
			out.Affine[r][2-a] *= scale
		}
	}
	from := g.Affine
	for r := range 3 {
		for a := range 3 {
			out.Affine[r][3] += from[r][2-a] * shift[a]
		}
	}
	return out
}

// move puts the origin at voxel v (D H W).
func (g *Grid) move(v [3]float64) {
	for r := range 3 {
		for a := range 3 {
			g.Affine[r][3] += g.Affine[r][2-a] * v[a]
		}
	}
}

// copyTransposed copies the box of src, of shape [D H W c], into dst with the
// axes of space in the order x.
func copyTransposed[T any](dst, src []T, shape [3]int, c int, b Box, x Axes) {
	n := reorder(b.Shape(), x)
	lo := reorder(b.Lo, x)
	step := reorder([3]int{shape[1] * shape[2] * c, shape[2] * c, c}, x)
	parallel(n[0], none, func(i int, _ struct{}) {
		for j := range n[1] {
			from := (lo[0]+i)*step[0] + (lo[1]+j)*step[1] + lo[2]*step[2]
			to := dst[(i*n[1]+j)*n[2]*c:][:n[2]*c]
			copyRow(to, src[from:], c, step[2])
		}
	})
}

// copyRow fills dst with voxels of c values that are step apart in src.
func copyRow[T any](dst, src []T, c, step int) {
	switch {
	case step == c:
		copy(dst, src)
	case c == 1:
		for k := range dst {
			dst[k] = src[k*step]
		}
	default:
		for k := 0; k*c < len(dst); k++ {
			copy(dst[k*c:(k+1)*c], src[k*step:])
		}
	}
}

// pasteTransposed is the inverse of copyTransposed: it puts src into the box of
// dst, which has shape [D H W c].
func pasteTransposed[T any](dst, src []T, shape [3]int, c int, b Box, x Axes) {
	n := reorder(b.Shape(), x)
	lo := reorder(b.Lo, x)
	step := reorder([3]int{shape[1] * shape[2] * c, shape[2] * c, c}, x)
	parallel(n[0], none, func(i int, _ struct{}) {
		for j := range n[1] {
			to := (lo[0]+i)*step[0] + (lo[1]+j)*step[1] + lo[2]*step[2]
			from := src[(i*n[1]+j)*n[2]*c:]
			for k := range n[2] {
				copy(dst[to+k*step[2]:][:c], from[k*c:(k+1)*c])
			}
		}
	})
}

// Transpose returns im with its axes of space in another order.
func (im *Image) Transpose(x Axes) *Image { return im.cropTranspose(Whole(im.Shape), x) }

// Crop returns the part of im in b.
func (im *Image) Crop(b Box) *Image { return im.cropTranspose(b, SameAxes()) }

func (im *Image) cropTranspose(b Box, x Axes) *Image {
	out := NewImage(im.Cropped(b).Transposed(x), im.C)
	copyTransposed(out.Data, im.Data, im.Shape, im.C, b, x)
	return out
}

// Constant tells whether channel c has the same value in all voxels.
func (im *Image) Constant(c int) bool {
	for v := c; v < len(im.Data); v += im.C {
		if im.Data[v] != im.Data[c] {
			return false
		}
	}
	return true
}

// Counts is how many voxels have each label.
func (l *Labels) Counts() (n [256]int) {
	for _, v := range l.Data {
		n[v]++
	}
	return n
}

// Transpose returns l with its axes in another order.
func (l *Labels) Transpose(x Axes) *Labels { return l.cropTranspose(Whole(l.Shape), x) }

// Crop returns the part of l in b.
func (l *Labels) Crop(b Box) *Labels { return l.cropTranspose(b, SameAxes()) }

func (l *Labels) cropTranspose(b Box, x Axes) *Labels {
	out := NewLabels(l.Cropped(b).Transposed(x))
	copyTransposed(out.Data, l.Data, l.Shape, 1, b, x)
	return out
}

// Flip returns l with some of its axes running the other way.
func (l *Labels) Flip(axes [3]bool) *Labels {
	out := NewLabels(l.Flipped(axes))
	n := l.Shape
	for d := range n[0] {
		for h := range n[1] {
			from := [2]int{d, h}
			for a := range from {
				if axes[a] {
					from[a] = n[a] - 1 - from[a]
				}
			}
			row := out.Data[(d*n[1]+h)*n[2]:][:n[2]]
			copy(row, l.Data[(from[0]*n[1]+from[1])*n[2]:])
			if axes[2] {
				slices.Reverse(row)
			}
		}
	}
	return out
}
