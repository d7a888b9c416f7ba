package dicom

import (
	"fmt"
	"math"
)

// newVolume makes a stack of planes that are sorted along normal, and finds whether
// it is one: Err has the reason if not.
func newVolume(planes []*plane, normal vec) *Volume {
	v := &Volume{planes: planes}
	first := planes[0]
	if first.placed {
		v.planes = nil
		for i, p := range planes {
			if i > 0 && p.along(normal)-v.planes[len(v.planes)-1].along(normal) < samePlace {
				v.twins = append(v.twins, [2]*plane{v.planes[len(v.planes)-1], p})
				continue
			}
			v.planes = append(v.planes, p)
		}
	}
	d := first.in.info
	v.Inverted = first.in.format.photometric == "MONOCHROME1"
	v.Unit = printable(d.text(tagRescaleType), 16)
	if v.Unit == "" && first.in.modality == "CT" {
		v.Unit = "HU"
	}
	step := v.step(normal)
	for d, p := range v.planes {
		if p.in == nil {
			v.Missing = append(v.Missing, d)
			v.Instances = append(v.Instances, Instance{})
			continue
		}
		in := Instance{
			File: p.in.file.Name, Number: p.in.number,
			SOPClassUID: p.in.info.text(tagSOPClass), SOPInstanceUID: p.in.info.text(tagSOPInstance),
		}
		if p.in.format.frames > 1 {
			in.Frame = p.frame + 1
		}
		v.Instances = append(v.Instances, in)
	}
	v.Shape = [3]int{len(v.planes), first.rows, first.columns}
	if v.Err == nil && int64(v.Voxels()) > maxVoxels {
		v.Err = fmt.Errorf("%d×%d×%d voxels, at most %d are read", v.Shape[0], v.Shape[1], v.Shape[2], int64(maxVoxels))
	}
	s := first.spacing
	if !first.sized {
		s = [2]float64{1, 1}
		if v.Err == nil && first.placed {
			v.Err = fmt.Errorf("%s: element %v is missing, so that the size of voxels is unknown", first.name(), tagPixelSpacing)
		}
	}
	x, y := first.x, first.y
	if !first.placed { // a picture without a place: radiographs, secondary captures
		x, y, step = vec{1, 0, 0}, vec{0, 1, 0}, vec{0, 0, v.thickness()}
	}
	v.Spacing = [3]float64{step.length(), s[0], s[1]}
	v.Affine = affine(x, y, step, v.planes[0].position, s)
	return v
}

// affine takes voxels (x, y, z) to mm in RAS+: x and y are the directions of rows and
// columns, step the way to the next slice, s the distances of rows and of columns.
func affine(x, y, step, origin vec, s [2]float64) (a [4][4]float64) {
	a[3][3] = 1
	for i := range 3 {
		sign := 1.0
		if i < 2 {
			sign = -1 // LPS to RAS
		}
		a[i] = [4]float64{sign * x[i] * s[1], sign * y[i] * s[0], sign * step[i], sign * origin[i]}
		for k, v := range a[i] {
			a[i][k] = v + 0 // no −0
		}
	}
	return a
}

// thickness is the depth of a single slice: what the file says, or 1 mm.
func (v *Volume) thickness() float64 {
	d := v.planes[0].in.info
	if m := d.item(tagSharedGroups).item(tagPixelMeasures); m != nil && m.number(tagSliceThickness, 0) > 0 {
		return m.number(tagSliceThickness, 0)
	}
	for _, t := range []tag{tagSliceThickness, tagSpacingBetween} {
		if s := math.Abs(d.number(t, 0)); s > 0 {
			return s
		}
	}
	return 1
}

// step is the way from one slice to the next, and fills what is missing between them.
// Slices may be off an even spacing by a tenth of it, which is what positions rounded to
// 0.1 mm need.
func (v *Volume) step(normal vec) vec {
	n := len(v.planes)
	first, last := v.planes[0], v.planes[n-1]
	if !first.placed {
		if n > 1 {
			v.Err = fmt.Errorf("%s: %w", first.name(), errNoPlace)
		}
		return vec{}
	}
	if n == 1 {
		return normal.scale(v.thickness())
	}
	const tolerance = 0.1
	at, err := v.places(normal)
	v.Err = err
	whole := last.position.sub(first.position)
	if err == nil {
		v.fill(at, whole)
		n = len(v.planes)
	}
	step := whole.scale(1 / float64(n-1))
	spacing := step.dot(normal)
	if v.Err == nil {
		for i, p := range v.planes {
			off := p.along(normal) - first.along(normal) - float64(i)*spacing
			if math.Abs(off) > tolerance*spacing {
				v.Err = fmt.Errorf("%s: slice %d of %d is %.3g mm off an even spacing of %.4g mm: spacing varies", p.name(), i+1, n, off, spacing)
				break
			}
		}
	}
	// What the stack leans by is the gantry's tilt; less than rounding is none.
	lean := step.sub(normal.scale(spacing))
	pixel := min(first.spacing[0], first.spacing[1])
	if lean.length()*float64(n-1) < 0.02*pixel {
		return normal.scale(spacing)
	}
	v.Tilt = math.Atan2(lean.length(), spacing) * 180 / math.Pi
	if v.Err == nil {
		for i, p := range v.planes {
			off := p.position.sub(first.position).sub(step.scale(float64(i)))
			off = off.sub(normal.scale(off.dot(normal)))
			if off.length() > max(tolerance*pixel, samePlace) {
				v.Err = fmt.Errorf("%s: slice %d of %d is %.3g mm beside the line of the others: the stack is not straight", p.name(), i+1, n, off.length())
				break
			}
		}
	}
	return step
}
