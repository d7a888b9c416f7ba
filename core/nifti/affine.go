package nifti

import (
	"errors"
	"fmt"
	"math"

	"github.com/gounet/gounet/core/volume"
)

// bestAffine is nibabel's rule: sform where its code is set, else qform where its
// code is set, else the scan centred on zero with x growing to the left.
func bestAffine(r *header2, shape []int) ([4][4]float64, error) {
	switch {
	case r.SformCode > 0:
		a := [4][4]float64{r.Srow[0], r.Srow[1], r.Srow[2], {0, 0, 0, 1}}
		for _, row := range a {
			for _, v := range row {
				if !finite(v) {
					return a, errors.New("sform has a value that is not finite: rewrite the header with an affine")
				}
			}
		}
		return a, nil
	case r.QformCode > 0:
		return qformAffine(r)
	}
	return baseAffine(r, shape), nil
}

// qformAffine is the rotation of the quaternion, scaled by pixdim, z mirrored
// where pixdim[0] is −1, moved to the offset.
func qformAffine(r *header2) ([4][4]float64, error) {
	var m [4][4]float64
	b, c, d := r.Quatern[0], r.Quatern[1], r.Quatern[2]
	w2 := 1 - (b*b + c*c + d*d)
	const rounding = 3 * 0x1p-23 // nibabel's threshold: three float32 epsilons
	if !(w2 >= -rounding) {
		return m, fmt.Errorf("qform quaternion (%g, %g, %g) is longer than 1, so no rotation: rewrite the header with a valid qform or sform", b, c, d)
	}
	a := 0.0
	if w2 > rounding {
		a = math.Sqrt(w2)
	}
	rot := rotation(a, b, c, d)
	for i := range 3 {
		if !finite(r.QOffset[i]) {
			return m, errors.New("qform offset is not finite: rewrite the header with a valid qform or sform")
		}
		for j := range 3 {
			m[i][j] = rot[i][j] * r.Pixdim[1+j]
		}
		m[i][2] *= r.Pixdim[0] // ±1
		m[i][3] = r.QOffset[i]
	}
	m[3][3] = 1
	return m, nil
}

// rotation is the matrix of a quaternion of any length but zero.
func rotation(w, x, y, z float64) [3][3]float64 {
	s := 2 / (w*w + x*x + y*y + z*z)
	return [3][3]float64{
		{1 - s*(y*y+z*z), s * (x*y - w*z), s * (x*z + w*y)},
		{s * (x*y + w*z), 1 - s*(x*x+z*z), s * (y*z - w*x)},
		{s * (x*z - w*y), s * (y*z + w*x), 1 - s*(x*x+y*y)},
	}
}

// baseAffine serves files with neither form: Analyze's convention.
func baseAffine(r *header2, shape []int) [4][4]float64 {
	var m [4][4]float64
	for i := range 3 {
		n, zoom := 1, 1.0
		if i < len(shape) {
			n, zoom = shape[i], r.Pixdim[1+i]
		}
		if i == 0 {
			zoom = -zoom
		}
		m[i][i] = zoom
		m[i][3] = -zoom * float64(n-1) / 2
	}
	m[3][3] = 1
	return m
}

// setAffine writes the geometry of g into r: sform always, qform where the affine
// is a rotation (or a mirrored one) times the spacing. A zero affine, which no
// scan has, stands for one along the axes of the spacing.
func setAffine(r *header2, g volume.Grid) {
	r.XYZTUnits = 2 // mm
	r.Pixdim = [8]float64{1, g.Spacing[2], g.Spacing[1], g.Spacing[0], 1, 1, 1, 1}
	a := g.Affine
	if a == ([4][4]float64{}) {
		a = [4][4]float64{{g.Spacing[2]}, {0, g.Spacing[1]}, {0, 0, g.Spacing[0]}, {0, 0, 0, 1}}
	}
	r.SformCode = 1 // NIFTI_XFORM_SCANNER_ANAT
	for i := range 3 {
		r.Srow[i] = a[i]
		r.QOffset[i] = a[i][3]
	}
	rot, ok := orthonormal(a, r.Pixdim[1:4])
	if !ok {
		return
	}
	r.QformCode = 1
	if (volume.Grid{Affine: a}).Determinant() < 0 { // as of rot, since zooms are positive
		r.Pixdim[0] = -1
		for i := range 3 {
			rot[i][2] = -rot[i][2]
		}
	}
	r.Quatern = quaternion(rot)
}

// orthonormal divides the columns of a by the zooms and says whether a rotation is
// left, to the precision that a float32 header keeps.
func orthonormal(a [4][4]float64, zooms []float64) (rot [3][3]float64, ok bool) {
	for i := range 3 {
		for j := range 3 {
			rot[i][j] = a[i][j] / zooms[j]
		}
	}
	const tolerance = 1e-5 // about 100 float32 roundings; a qform can hold no shear
	for j := range 3 {
		for k := range 3 {
			dot := 0.0
			for i := range 3 {
				dot += rot[i][j] * rot[i][k]
			}
			want := 0.0
			if j == k {
				want = 1
			}
			if !(math.Abs(dot-want) <= tolerance) {
				return rot, false
			}
		}
	}
	return rot, true
}

// quaternion gives b, c, d of a rotation, with a ≥ 0. The largest of the four
// components is found first, since the others are divided by it.
func quaternion(m [3][3]float64) [3]float64 {
	// 4·component², in the order a, b, c, d.
	squares := [4]float64{
		1 + m[0][0] + m[1][1] + m[2][2],
		1 + m[0][0] - m[1][1] - m[2][2],
		1 - m[0][0] + m[1][1] - m[2][2],
		1 - m[0][0] - m[1][1] + m[2][2],
	}
	k := 0
	for i, v := range squares {
		if v > squares[k] {
			k = i
		}
	}
	// products[i][j] = 4·component i · component j.
	ab, ac, ad := m[2][1]-m[1][2], m[0][2]-m[2][0], m[1][0]-m[0][1]
	bc, bd, cd := m[0][1]+m[1][0], m[0][2]+m[2][0], m[1][2]+m[2][1]
	products := [4][4]float64{
		{squares[0], ab, ac, ad},
		{ab, squares[1], bc, bd},
		{ac, bc, squares[2], cd},
		{ad, bd, cd, squares[3]},
	}
	length := 2 * math.Sqrt(squares[k])
	q := products[k]
	if q[0] < 0 {
		length = -length
	}
	return [3]float64{q[1] / length, q[2] / length, q[3] / length}
}
