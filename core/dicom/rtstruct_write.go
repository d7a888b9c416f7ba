package dicom

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/volume"
)

// classStudy is what structure sets call the study that they refer to: a class that
// is retired everywhere else (PS3.3 C.8.8.5).
const classStudy = "1.2.840.10008.3.1.2.3.1"

// structureWriter writes a structure set (PS3.3 A.19). It is in implicit little endian,
// since the outline of a large organ takes more than the 65534 bytes that a decimal
// string has in explicit syntaxes.
type structureWriter struct {
	*derived
	boxes [][256]box // of the labels of each slice
}

// box is where the voxels of a label lie in a slice, x1 and y1 excluded.
type box struct{ x0, y0, x1, y1 int32 }

// WriteRTSTRUCT writes labels, which lie in the grid of v, as the closed planar
// contours of a radiotherapy structure set that refers to the images of v. Contours
// convert back to the same voxels: see outlines. Structures are written one by one,
// so that memory is that of the contours of the largest.
func (v *Volume) WriteRTSTRUCT(ctx context.Context, w io.Writer, labels *volume.Labels, o WriteOptions) error {
	d, err := newDerived(v, labels, o, classRTSTRUCT, "RTSTRUCT")
	if err != nil {
		return fmt.Errorf("dicom: structure set: %w", err)
	}
	s := &structureWriter{derived: d}
	s.findBoxes()
	if err := s.write(ctx, w); err != nil {
		return fmt.Errorf("dicom: structure set: %w", err)
	}
	return nil
}

// findBoxes finds the box of each label in each slice.
func (s *structureWriter) findBoxes() {
	s.boxes = make([][256]box, len(s.present))
	width := s.volume.Shape[2]
	parallel(len(s.boxes), func() struct{} { return struct{}{} }, func(i int, _ struct{}) {
		boxes, data := &s.boxes[i], s.slice(i)
		for at := 0; at < len(data); at += width {
			y := int32(at / width)
			for x, l := range data[at : at+width] {
				if l == 0 {
					continue
				}
				b := &boxes[l]
				if b.y1 == 0 {
					*b = box{int32(x), y, int32(x) + 1, y + 1}
					continue
				}
				b.x0, b.x1, b.y1 = min(b.x0, int32(x)), max(b.x1, int32(x)+1), y+1
			}
		}
	})
}

// write writes the file: elements, then the contours of each structure, whose
// sequence has no length in front since it is not known before they are made.
func (s *structureWriter) write(ctx context.Context, w io.Writer) error {
	e := s.elems
	e.text(tagOperators, "PN", "")
	e.text(tagStructureLabel, "SH", "SEGMENTATION")
	e.text(tagStructureDate, "DA", s.date)
	e.text(tagStructureTime, "TM", s.time)
	s.references()
	e.sequence(tagROIs, len(s.segments), func(i int, e *elements) {
		g := s.segments[i]
		e.text(tagROINumber, "IS", strconv.Itoa(g.Number))
		e.text(tagROIFrame, "UI", s.frame)
		e.text(tagROIName, "LO", g.Name)
		e.text(tagROIAlgorithm, "CS", "AUTOMATIC")
	})
	out := &countingWriter{w: w}
	out.write(fileFront(s.class, s.instance, implicitLittle))
	out.write(e.appendTo(nil))
	out.write(appendHead(nil, true, tagROIContours, "SQ", undefinedLength))
	t := &tracer{width: s.volume.Shape[2], height: s.volume.Shape[1]}
	for _, g := range s.segments {
		item, err := s.structure(ctx, g, t)
		if err != nil {
			return err
		}
		if int64(len(item)) >= undefinedLength {
			return fmt.Errorf("the contours of segment %d take %d bytes, below %d can be written: write a segmentation", g.Number, len(item), int64(undefinedLength))
		}
		out.write(item)
	}
	out.write(appendHead(nil, true, tagSequenceEnd, "", 0))
	tail := &elements{implicit: true}
	s.observations(tail)
	out.write(tail.appendTo(nil))
	return out.err
}

// references says what the structures were drawn on.
func (s *structureWriter) references() {
	files := s.sourceFiles()
	s.elems.one(tagReferencedFrames, func(e *elements) {
		e.text(tagFrameOfReference, "UI", s.frame)
		e.one(tagRTStudies, func(e *elements) {
			e.text(tagReferencedClass, "UI", classStudy)
			e.text(tagReferencedInstance, "UI", s.study)
			e.one(tagRTSeries, func(e *elements) {
				e.text(tagSeries, "UI", s.series)
				e.sequence(tagContourImages, len(files), func(i int, e *elements) { s.instanceOf(e, files[i]) })
			})
		})
	})
}

// structure is the item of a structure: its colour and its contours.
func (s *structureWriter) structure(ctx context.Context, g Segment, t *tracer) ([]byte, error) {
	var contours []byte
	n := 0
	for i := range s.boxes {
		b := s.boxes[i][g.Label]
		if b.y1 == 0 || !s.volume.exists(i) { // a contour refers to an image
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, o := range t.outlines(s.slice(i), g.Label, int(b.x0), int(b.y0), int(b.x1), int(b.y1)) {
			n++
			contours = s.contour(contours, i, n, o)
		}
	}
	e := &elements{implicit: true}
	e.text(tagROIColour, "IS", strconv.Itoa(int(g.Colour[0])), strconv.Itoa(int(g.Colour[1])), strconv.Itoa(int(g.Colour[2])))
	if n > 0 {
		e.put(tagContours, "SQ", contours)
	}
	e.text(tagObservedROI, "IS", strconv.Itoa(g.Number))
	return e.appendItem(nil), nil
}

// contour appends an item with an outline in slice i, in mm.
func (s *structureWriter) contour(b []byte, i, number int, o outline) []byte {
	p := s.volume.planes[i]
	unit := min(p.spacing[0], p.spacing[1]) // points are exact to a thousandth of it
	var text strings.Builder
	for k, point := range o {
		at := p.position.add(p.x.scale(point[0] * p.spacing[1])).add(p.y.scale(point[1] * p.spacing[0]))
		for axis, x := range at {
			if k+axis > 0 {
				text.WriteByte('\\')
			}
			text.WriteString(fixed(x, unit))
		}
	}
	e := &elements{implicit: true}
	e.one(tagContourImages, func(e *elements) { s.reference(e, i) })
	e.text(tagContourType, "CS", "CLOSED_PLANAR")
	e.text(tagContourPoints, "IS", strconv.Itoa(len(o)))
	e.text(tagContourNumber, "IS", strconv.Itoa(number))
	e.text(tagContourData, "DS", text.String())
	return e.appendItem(b)
}

// observations says what the structures are, and that nobody has approved them.
func (s *structureWriter) observations(e *elements) {
	e.sequence(tagObservations, len(s.segments), func(i int, e *elements) {
		g := s.segments[i]
		number := strconv.Itoa(g.Number)
		e.text(tagObservationNumber, "IS", number)
		e.text(tagObservedROI, "IS", number)
		e.code(tagROIIdentification, g.Term.Type)
		e.text(tagROIInterpreted, "CS", "")
		e.text(tagROIInterpreter, "PN", "")
	})
	e.text(tagApproval, "CS", "UNAPPROVED")
}
