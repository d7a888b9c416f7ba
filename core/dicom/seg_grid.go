package dicom

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/gounet/gounet/core/volume"
)

// farAway is a distance, in mm or in voxels, that nothing in a scan has.
const farAway = 1e7

// layOut finds the grid of the frames and the slice of each.
func (s *Segmentation) layOut() error {
	first := &s.frames[0]
	for i := range s.frames {
		p := &s.frames[i]
		if !first.parallel(&p.plane) {
			return fmt.Errorf("frame %d has another orientation or spacing than frame 1: frames of one grid are read", i+1)
		}
		if !(p.position.length() <= farAway) { // and no NaN either
			return fmt.Errorf("frame %d: element %v is %.4g mm, farther than %g from the origin", i+1, tagPosition, p.position, farAway)
		}
	}
	if !first.placed || !first.sized {
		return s.layOutPicture()
	}
	normal := first.x.cross(first.y)
	order := make([]*segPlace, len(s.frames))
	for i := range order {
		order[i] = &s.frames[i]
	}
	slices.SortStableFunc(order, func(a, b *segPlace) int { return cmp.Compare(a.along(normal), b.along(normal)) })
	measures := s.info.item(tagSharedGroups).item(tagPixelMeasures)
	if measures == nil {
		measures = s.info.item(tagFrameGroups).item(tagPixelMeasures)
	}
	declared := math.Abs(measures.number(tagSpacingBetween, 0))
	spacing, depth, err := evenSpacing(order, normal, declared)
	if err != nil {
		return err
	}
	low, high := order[0], order[len(order)-1]
	step := normal.scale(spacing)
	if depth == 1 {
		step = normal.scale(cmp.Or(declared, math.Abs(measures.number(tagSliceThickness, 0)), 1))
	} else if lean := high.position.sub(low.position).sub(step.scale(float64(depth - 1))); lean.length() >= 0.02*min(first.spacing[0], first.spacing[1]) {
		step = high.position.sub(low.position).scale(1 / float64(depth-1)) // a tilted gantry's stack
	}
	// In the plane, frames may be off the line by what rounding explains, as slices of
	// scans may.
	most := max(0.1*min(first.spacing[0], first.spacing[1]), samePlace)
	for _, p := range order {
		off := p.position.sub(low.position).sub(step.scale(float64(p.slice)))
		if off = off.sub(normal.scale(off.dot(normal))); off.length() > most {
			return fmt.Errorf("frame %d is %.3g mm beside the line of the others: the frames are no stack", p.frame+1, off.length())
		}
	}
	s.Grid = volume.Grid{
		Shape: [3]int{depth, first.rows, first.columns}, Spacing: [3]float64{step.length(), first.spacing[0], first.spacing[1]},
		Affine: affine(first.x, first.y, step, low.position, first.spacing),
	}
	return s.checkFrames()
}

// layOutPicture is the grid of a segmentation of a picture without a place in the body.
func (s *Segmentation) layOutPicture() error {
	first := &s.frames[0]
	sp := first.spacing
	if !first.sized {
		sp = [2]float64{1, 1}
	}
	s.Grid = volume.Grid{
		Shape: [3]int{1, first.rows, first.columns}, Spacing: [3]float64{1, sp[0], sp[1]},
		Affine: affine(vec{1, 0, 0}, vec{0, 1, 0}, vec{0, 0, 1}, vec{}, sp),
	}
	return s.checkFrames()
}

// evenSpacing finds the distance of slices, so that all frames lie on multiples of it
// to a tenth: the declared one, or the smallest between two frames. It sets the slices
// of the frames, which are sorted, and returns how many slices there are.
func evenSpacing(order []*segPlace, normal vec, declared float64) (spacing float64, depth int, err error) {
	low := order[0].along(normal)
	extent := order[len(order)-1].along(normal) - low
	if extent < samePlace {
		return 0, 1, nil
	}
	smallest := extent
	for i := 1; i < len(order); i++ {
		if d := order[i].along(normal) - order[i-1].along(normal); d >= samePlace {
			smallest = min(smallest, d)
		}
	}
	for _, c := range []float64{declared, smallest} {
		if c < samePlace {
			continue
		}
		n := math.Round(extent / c)
		if n > maxFrames {
			return 0, 0, fmt.Errorf("frames that are %.4g mm apart, over %.4g mm, are more than %d slices", c, extent, maxFrames)
		}
		if n < 1 {
			continue
		}
		c = extent / n
		if off, _ := offGrid(order, normal, low, c); off < 0 {
			return c, int(n) + 1, nil
		}
	}
	at, off := offGrid(order, normal, low, smallest)
	return 0, 0, fmt.Errorf("frame %d is %.3g mm off an even spacing of %.4g mm: spacing varies", at+1, off, smallest)
}

// offGrid puts the frames on multiples of spacing and returns the first that is more
// than a tenth off, or −1.
func offGrid(order []*segPlace, normal vec, low, spacing float64) (frame int, off float64) {
	const tolerance = 0.1 // as for the slices of scans
	for _, p := range order {
		d := p.along(normal) - low
		p.slice = int(math.Round(d / spacing))
		if off := d - float64(p.slice)*spacing; math.Abs(off) > tolerance*spacing {
			return p.frame, off
		}
	}
	return -1, 0
}

// checkFrames finds frames of one segment in one place, and grids too large: beyond
// those of a scan of 512×512×1024 voxels, frames must fill a part of them.
func (s *Segmentation) checkFrames() error {
	const usual, sparse = 1 << 28, 64
	n := int64(s.Shape[0]) * int64(s.Shape[1]) * int64(s.Shape[2])
	if n > maxVoxels || n > usual && s.Shape[0] > sparse*len(s.frames) {
		return fmt.Errorf("%d frames spread over %d×%d×%d voxels, which are not read: give the scan that they belong to",
			len(s.frames), s.Shape[0], s.Shape[1], s.Shape[2])
	}
	type place struct {
		label uint8
		slice int
	}
	seen := make(map[place]int, len(s.frames))
	for i := range s.frames {
		k := place{s.frames[i].label, s.frames[i].slice}
		if j, twice := seen[k]; twice {
			return fmt.Errorf("frames %d and %d are of the same segment in the same place", j+1, i+1)
		}
		seen[k] = i
	}
	return nil
}

// onto finds the slice of v that each frame lies in. Frames must lie where the slices
// lie, to a hundredth of a millimetre, in the same frame of reference.
func (s *Segmentation) onto(v *Volume) ([]int, error) {
	if v.Err != nil {
		return nil, v.Err
	}
	first := v.planes[0]
	p := &s.frames[0]
	if !p.placed || !first.placed {
		return nil, fmt.Errorf("frames or slices have no place in the body: read the segmentation in its own grid")
	}
	if err := v.sameFrame(s.FrameOfReferenceUID, s.SourceSeries); err != nil {
		return nil, err
	}
	if p.rows != first.rows || p.columns != first.columns {
		return nil, fmt.Errorf("frames have %d×%d pixels, the slices of the scan %d×%d", p.columns, p.rows, first.columns, first.rows)
	}
	if !first.parallel(&p.plane) {
		return nil, fmt.Errorf("frames have directions %.4f %.4f and spacing %v mm, the slices of the scan %.4f %.4f and %v mm",
			p.x, p.y, p.spacing, first.x, first.y, first.spacing)
	}
	normal := first.x.cross(first.y)
	at := make([]int, len(s.frames))
	for i := range s.frames {
		k, off := v.nearest(s.frames[i].position, normal)
		if off > samePlace {
			return nil, fmt.Errorf("frame %d at %.4f mm: the nearest slice of the scan is %.3g mm away, at most %g are the same place",
				i+1, s.frames[i].position, off, samePlace)
		}
		at[i] = k
	}
	return at, nil
}

// nearest is the slice of v whose first voxel is nearest to p along the stack, and how
// far that is from p.
func (v *Volume) nearest(p, normal vec) (slice int, distance float64) {
	along := p.dot(normal)
	k, _ := slices.BinarySearchFunc(v.planes, along, func(q *plane, a float64) int { return cmp.Compare(q.along(normal), a) })
	if k == len(v.planes) || k > 0 && along-v.planes[k-1].along(normal) < v.planes[k].along(normal)-along {
		k--
	}
	return k, v.planes[k].position.sub(p).length()
}

// sameFrame says why coordinates of the frame of reference uid, of an object that
// refers to series, are not those of v. A missing UID proves nothing.
func (v *Volume) sameFrame(uid string, series []string) error {
	d := v.planes[0].in.info
	own := d.text(tagFrameOfReference)
	if uid == "" || own == "" || uid == own || slices.Contains(series, d.text(tagSeries)) {
		return nil
	}
	return fmt.Errorf("element %v differs from that of the scan, whose series is not referred to either: it belongs to another scan", tagFrameOfReference)
}
