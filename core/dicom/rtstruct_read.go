package dicom

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/volume"
)

// StructureSet is a radiotherapy structure set (PS3.3 A.19), whoever wrote it: names,
// colours and closed planar contours. Labels makes voxels of them.
type StructureSet struct {
	Segments            []Segment // by their order in the file, labels from 1
	Skipped             int       // contours that bound no area: points and open lines
	FrameOfReferenceUID string
	SourceSeries        []string // UIDs of the series that it refers to

	file     File
	contours []contour
}

// contour is a polygon in mm, LPS.
type contour struct {
	roi    int // number in the file
	number int // in the structure, from 1
	label  uint8
	points []float64 // x, y, z of each
}

// structureWanted are the elements that are kept of structure sets.
var structureWanted = map[tag]string{
	tagTransferSyntax: "UI", tagCharacterSet: "CS", tagSOPClass: "UI", tagModality: "CS", tagSeries: "UI", tagFrameOfReference: "UI",
	tagReferencedFrames: "SQ", tagRTStudies: "SQ", tagRTSeries: "SQ",
	tagROIs: "SQ", tagROINumber: "IS", tagROIFrame: "UI", tagROIName: "LO",
	tagROIContours: "SQ", tagROIColour: "IS", tagContours: "SQ", tagContourType: "CS", tagContourData: "DS", tagObservedROI: "IS",
}

// ErrNotStructureSet is wrapped by errors of DICOM files that are something else.
var ErrNotStructureSet = errors.New("no DICOM structure set")

// OpenRTSTRUCT reads a structure set.
func OpenRTSTRUCT(f File) (*StructureSet, error) {
	f.Name = printable(f.Name, 512)
	s, err := openRTSTRUCT(f)
	if err != nil {
		return nil, fmt.Errorf("dicom: %s: %w", f.Name, err)
	}
	return s, nil
}

func openRTSTRUCT(f File) (*StructureSet, error) {
	d, err := parseKeeping(f, structureWanted)
	if err != nil {
		return nil, err
	}
	if d.text(tagSOPClass) != classRTSTRUCT && d.text(tagModality) != "RTSTRUCT" {
		return nil, fmt.Errorf("%w: modality %s", ErrNotStructureSet, shownCode(d.text(tagModality)))
	}
	s := &StructureSet{file: f, FrameOfReferenceUID: d.text(tagFrameOfReference)}
	s.readReferences(&d.dataSet)
	labels, err := s.readStructures(&d.dataSet)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(d.elements, func(e element) bool { return e.tag == tagROIContours })
	if at < 0 { // it may be empty, but not missing
		return nil, fmt.Errorf("element %v, the contours, is missing: the file is truncated", tagROIContours)
	}
	for i, item := range d.elements[at].items {
		roi := item.integer(tagObservedROI, math.MinInt32)
		label, known := labels[roi]
		if !known {
			return nil, fmt.Errorf("item %d of element %v has structure number %d, which element %v has not", i+1, tagROIContours, roi, tagROIs)
		}
		if err := s.readContours(item, roi, label); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readReferences finds the series that the contours were drawn on.
func (s *StructureSet) readReferences(d *dataSet) {
	items := func(d *dataSet, t tag) []*dataSet {
		if e := d.find(t); e != nil {
			return e.items
		}
		return nil
	}
	for _, frame := range items(d, tagReferencedFrames) {
		if uid := frame.text(tagFrameOfReference); uid != "" {
			s.FrameOfReferenceUID = uid // the data set's own is often another, or missing
		}
		for _, study := range items(frame, tagRTStudies) {
			for _, series := range items(study, tagRTSeries) {
				s.SourceSeries = append(s.SourceSeries, series.text(tagSeries))
			}
		}
	}
}

// readStructures reads names, and returns the label of each structure's number.
func (s *StructureSet) readStructures(d *dataSet) (map[int]uint8, error) {
	e := d.find(tagROIs)
	if e == nil {
		return nil, fmt.Errorf("element %v, the structures, is missing", tagROIs)
	}
	if len(e.items) > volume.MaxLabel {
		return nil, fmt.Errorf("%d structures, at most %d are read", len(e.items), volume.MaxLabel)
	}
	set := strings.Join(d.texts(tagCharacterSet), `\`)
	labels := map[int]uint8{}
	for i, item := range e.items {
		n := item.integer(tagROINumber, math.MinInt32)
		if _, twice := labels[n]; twice || n == math.MinInt32 {
			return nil, fmt.Errorf("structure %d has no number in element %v, or that of another", i+1, tagROINumber)
		}
		label := uint8(i + 1)
		labels[n] = label
		name := readable(item.text(tagROIName), set)
		g := Segment{Label: label, Number: n, Name: name}
		g.Term, _, _ = TermOf(name)
		s.Segments = append(s.Segments, g)
	}
	return labels, nil
}

// readContours reads the contours of a structure.
func (s *StructureSet) readContours(d *dataSet, roi int, label uint8) error {
	if c, ok := d.numbers(tagROIColour); ok && len(c) == 3 {
		for i, x := range c {
			s.Segments[label-1].Colour[i] = uint8(min(max(x, 0), 255))
		}
	}
	e := d.find(tagContours)
	if e == nil {
		return nil
	}
	for i, item := range e.items {
		switch item.text(tagContourType) {
		case "CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "INTERPOLATED_PLANAR":
		default:
			s.Skipped++
			continue
		}
		points, ok := item.numbers(tagContourData)
		if !ok || len(points)%3 != 0 {
			return fmt.Errorf("contour %d of structure %d: element %v has %d numbers: want three for each point", i+1, roi, tagContourData, len(points))
		}
		s.contours = append(s.contours, contour{roi: roi, number: i + 1, label: label, points: points})
	}
	return nil
}

// offSlice is how far a contour may lie from a slice, as a part of the distance of
// slices: what the positions of slices may be off too.
const offSlice = 0.1

// onEdge is how far from an edge, in voxels, the centre of a voxel is on it: what
// decimals of 0.01 mm leave of the place of a point in common scans.
const onEdge = 0.01

// Labels makes voxels of the contours, in the grid of v: those whose centres lie in an
// odd number of the contours of a structure in their slice (even-odd, so that inner
// contours are holes), or on one of them: points on the path are inside (PS3.3
// C.8.8.6.3), and writers that draw through the centres of voxels, as rt-utils does, mean
// these voxels. Contours must lie in slices of v, to a tenth of their distance. Where
// structures overlap, the later one is kept, and overlap has the number of such voxels.
func (s *StructureSet) Labels(ctx context.Context, v *Volume) (l *volume.Labels, overlap int64, err error) {
	p, err := s.paint(ctx, v)
	if err != nil {
		return nil, 0, fmt.Errorf("dicom: %s: %w", s.file.Name, err)
	}
	return p.Labels, p.overlap, nil
}

func (s *StructureSet) paint(ctx context.Context, v *Volume) (*painter, error) {
	if v.Err != nil {
		return nil, v.Err
	}
	if !v.planes[0].placed || !v.planes[0].sized {
		return nil, errors.New("the scan has no place in the body, so that contours cannot be laid over it")
	}
	if err := v.sameFrame(s.FrameOfReferenceUID, s.SourceSeries); err != nil {
		return nil, err
	}
	type place struct {
		label uint8
		slice int
	}
	groups := map[place][]outline{}
	var order []place
	for _, c := range s.contours {
		slice, o, err := c.onto(v)
		if err != nil {
			return nil, fmt.Errorf("contour %d of structure %d: %w", c.number, c.roi, err)
		}
		k := place{c.label, slice}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], o)
	}
	p := &painter{Labels: volume.NewLabels(v.Grid)}
	plane := v.Shape[1] * v.Shape[2]
	scan := &scanner{rows: v.Shape[1], columns: v.Shape[2]}
	for _, k := range order {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		scan.fill(groups[k], func(y, x0, x1 int) {
			for x := x0; x < x1; x++ {
				p.put(k.slice*plane+y*v.Shape[2]+x, k.label)
			}
		})
	}
	return p, nil
}

// onto finds the slice of v that a contour lies in and the contour in its voxels.
func (c *contour) onto(v *Volume) (int, outline, error) {
	first := v.planes[0]
	normal := first.x.cross(first.y)
	tolerance := max(offSlice*v.between(), samePlace)
	k, _ := v.nearest(vec(c.points[:3]), normal)
	p := v.planes[k]
	o := make(outline, 0, len(c.points)/3)
	for at := 0; at < len(c.points); at += 3 {
		d := vec(c.points[at : at+3]).sub(p.position)
		if off := d.dot(normal); !(math.Abs(off) <= tolerance) {
			return 0, nil, fmt.Errorf("point %d is %.4g mm beside the nearest slice, whose distance is %.4g mm; at most %.3g are allowed: is it of another scan?",
				at/3+1, off, v.between(), tolerance)
		}
		x, y := d.dot(p.x)/p.spacing[1], d.dot(p.y)/p.spacing[0]
		if !(math.Abs(x) <= farAway && math.Abs(y) <= farAway) {
			return 0, nil, fmt.Errorf("point %d is %.4g × %.4g voxels beside the slice", at/3+1, x, y)
		}
		o = append(o, [2]float64{x, y})
	}
	return k, o, nil
}

// scanner converts polygons to rows of voxels.
type scanner struct {
	rows, columns int
	crossings     [][]float64 // of each row
}

// fill calls span for the voxels (y, x0 … x1−1) whose centres are inside of an odd
// number of polygons or on one of them; for some more than once.
func (s *scanner) fill(polygons []outline, span func(y, x0, x1 int)) {
	s.crossings = grown(s.crossings, s.rows)
	for i := range s.crossings {
		s.crossings[i] = s.crossings[i][:0]
	}
	for _, o := range polygons {
		a := o[len(o)-1]
		for _, b := range o {
			s.cross(a, b)
			s.draw(a, b, span)
			a = b
		}
	}
	for y, xs := range s.crossings {
		slices.Sort(xs)
		for i := 0; i+1 < len(xs); i += 2 {
			x0, x1 := s.column(xs[i]), s.column(xs[i+1])
			if x0 < x1 {
				span(y, x0, x1)
			}
		}
	}
}

// column is the first one at or right of x, in [0, columns].
func (s *scanner) column(x float64) int {
	return int(math.Ceil(min(max(x, 0), float64(s.columns))))
}

// cross notes where an edge crosses the centres of rows: those at or below its upper
// end and above its lower one. An edge and its reverse cross at equal points, so that
// the channels of keyholes enclose nothing.
func (s *scanner) cross(a, b [2]float64) {
	if a[1] > b[1] {
		a, b = b, a
	}
	first := int(math.Ceil(min(max(a[1], 0), float64(s.rows))))
	end := int(math.Ceil(min(max(b[1], 0), float64(s.rows))))
	for y := first; y < end; y++ {
		x := a[0] + (float64(y)-a[1])/(b[1]-a[1])*(b[0]-a[0])
		s.crossings[y] = append(s.crossings[y], x)
	}
}

// draw calls span for the voxels whose centres are on an edge.
func (s *scanner) draw(a, b [2]float64, span func(y, x0, x1 int)) {
	if a[1] > b[1] {
		a, b = b, a
	}
	first := int(math.Ceil(min(max(a[1]-onEdge, 0), float64(s.rows))))
	for y := first; y < s.rows && float64(y) <= b[1]+onEdge; y++ {
		x0, x1 := a[0], b[0] // of the part of the edge that is near the row
		if h := b[1] - a[1]; h > 0 {
			at := func(y float64) float64 { return a[0] + min(max((y-a[1])/h, 0), 1)*(b[0]-a[0]) }
			x0, x1 = at(float64(y)-onEdge), at(float64(y)+onEdge)
		}
		if x0 > x1 {
			x0, x1 = x1, x0
		}
		if l, r := s.column(x0-onEdge), s.column(math.Floor(x1+onEdge)+1); l < r {
			span(y, l, r)
		}
	}
}
