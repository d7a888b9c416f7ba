package dicom

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/gounet/gounet/core/volume"
)

// SOP classes of what is derived from scans (PS3.4 B.5).
const (
	classSEG      = "1.2.840.10008.5.1.4.1.1.66.4"
	classLabelMap = "1.2.840.10008.5.1.4.1.1.66.7"
	classRTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
)

// segWriter writes a segmentation (PS3.3 A.51): a frame is a slice of one segment in
// bits, or, of a label map, a slice with the labels in bytes. Frames without a voxel
// are left out, as are slices that no image exists of, which nothing could refer to; an
// object without any voxel has one blank frame, since one is needed.
type segWriter struct {
	*derived
	labelMap bool
	frames   []segFrame
	rank     []uint32 // of each slice among those that have a frame, from 1
}

// segFrame is a slice and, but in a label map, the index of a segment.
type segFrame struct{ slice, segment int }

// WriteSEG writes labels, which lie in the grid of v, as a DICOM segmentation of type
// BINARY that refers to the images of v: what all viewers read. Segments are numbered
// in the order of o.Segments. Frames are streamed: memory is that of the headers,
// about 600 bytes.
func (v *Volume) WriteSEG(ctx context.Context, w io.Writer, labels *volume.Labels, o WriteOptions) error {
	return v.writeSEG(ctx, w, labels, o, false)
}

// WriteLabelMap writes labels as a DICOM label map segmentation (2024, supplement
// 243): one frame a slice whatever the number of segments, whose numbers are the
// labels. Viewers older than the supplement do not know it.
func (v *Volume) WriteLabelMap(ctx context.Context, w io.Writer, labels *volume.Labels, o WriteOptions) error {
	return v.writeSEG(ctx, w, labels, o, true)
}

func (v *Volume) writeSEG(ctx context.Context, w io.Writer, labels *volume.Labels, o WriteOptions, labelMap bool) error {
	class := classSEG
	if labelMap {
		class = classLabelMap
	}
	d, err := newDerived(v, labels, o, class, "SEG")
	if err != nil {
		return fmt.Errorf("dicom: segmentation: %w", err)
	}
	s := &segWriter{derived: d, labelMap: labelMap}
	s.choose()
	if err := s.write(ctx, w); err != nil {
		return fmt.Errorf("dicom: segmentation: %w", err)
	}
	return nil
}

// choose lists the frames: by segment, then from slice to slice.
func (s *segWriter) choose() {
	used := make([]bool, len(s.present))
	list := func(segment int, has func(p *[256]bool) bool) {
		for i := range s.present {
			if s.volume.exists(i) && has(&s.present[i]) {
				s.frames = append(s.frames, segFrame{i, segment})
				used[i] = true
			}
		}
	}
	if s.labelMap {
		list(0, func(p *[256]bool) bool {
			for _, has := range p[1:] {
				if has {
					return true
				}
			}
			return false
		})
	} else {
		for k, g := range s.segments {
			list(k, func(p *[256]bool) bool { return p[g.Label] })
		}
	}
	if len(s.frames) == 0 {
		s.frames, used[0] = []segFrame{{0, 0}}, true
	}
	s.rank = make([]uint32, len(used))
	n := uint32(0)
	for i, u := range used {
		if u {
			n++
			s.rank[i] = n
		}
	}
}

// write writes the file: elements, the items of the frames, the pixels.
func (s *segWriter) write(ctx context.Context, w io.Writer) error {
	rows, columns := s.volume.Shape[1], s.volume.Shape[2]
	if rows > math.MaxUint16 || columns > math.MaxUint16 {
		return fmt.Errorf("slices of %d×%d voxels, at most %d a side can be written", columns, rows, math.MaxUint16)
	}
	if len(s.frames) > maxFrames {
		return fmt.Errorf("%d frames, at most %d are written: write a label map", len(s.frames), maxFrames)
	}
	bits := int64(1)
	if s.labelMap {
		bits = 8
	}
	pixels := (int64(len(s.frames))*int64(rows)*int64(columns)*bits + 7) / 8
	pixels += pixels & 1
	items := int64(0)
	var buf []byte
	for _, f := range s.frames {
		buf = s.item(buf[:0], f)
		items += int64(len(buf))
	}
	if pixels >= undefinedLength || items >= undefinedLength {
		return fmt.Errorf("%d bytes of pixels and %d of frames' headers, below %d can be written: write a label map, or fewer segments", pixels, items, int64(undefinedLength))
	}
	s.image()
	s.segmentation()
	syntax, length := explicitLittle, uint32(pixels)
	if s.compressed() {
		syntax, length = rleLossless, undefinedLength
	}
	out := &countingWriter{w: w}
	out.write(fileFront(s.class, s.instance, syntax))
	out.write(s.elems.appendTo(nil))
	out.write(appendHead(nil, false, tagFrameGroups, "SQ", uint32(items)))
	for _, f := range s.frames {
		if err := ctx.Err(); err != nil {
			return err
		}
		buf = s.item(buf[:0], f)
		out.write(buf)
	}
	out.write(appendHead(nil, false, tagPixels, "OB", length))
	switch {
	case s.compressed():
		return s.fragments(ctx, out)
	case s.labelMap:
		return s.bytes(ctx, out, pixels)
	}
	return s.bits(ctx, out, pixels)
}

func (s *segWriter) compressed() bool { return s.labelMap && s.o.Compress }

// image adds the attributes of a multi-frame image.
func (s *segWriter) image() {
	e := s.elems
	e.text(tagImageType, "CS", "DERIVED", "PRIMARY")
	e.text(tagContentDate, "DA", s.date)
	e.text(tagContentTime, "TM", s.time)
	e.shorts(tagSamples, 1)
	e.text(tagPhotometric, "CS", "MONOCHROME2")
	e.text(tagFrames, "IS", strconv.Itoa(len(s.frames)))
	e.shorts(tagRows, uint16(s.volume.Shape[1]))
	e.shorts(tagColumns, uint16(s.volume.Shape[2]))
	depth := uint16(1)
	if s.labelMap {
		depth = 8
		e.shorts(tagPixelPadding, 0) // the background
	}
	e.shorts(tagBitsAllocated, depth)
	e.shorts(tagBitsStored, depth)
	e.shorts(tagHighBit, depth-1)
	e.shorts(tagSigned, 0)
	e.text(tagLossy, "CS", "00")
	e.one(tagReferencedSeries, func(e *elements) {
		e.text(tagSeries, "UI", s.series)
		files := s.sourceFiles()
		e.sequence(tagReferencedImages, len(files), func(i int, e *elements) { s.instanceOf(e, files[i]) })
	})
	s.dimensions()
	e.one(tagSharedGroups, func(e *elements) {
		p := s.volume.planes[0]
		e.one(tagPlaneOrientation, func(e *elements) {
			e.decimals(tagOrientation, p.x[0], p.x[1], p.x[2], p.y[0], p.y[1], p.y[2])
		})
		e.one(tagPixelMeasures, func(e *elements) {
			e.decimals(tagSliceThickness, s.volume.thickness())
			e.decimals(tagSpacingBetween, s.volume.between())
			e.decimals(tagPixelSpacing, p.spacing[0], p.spacing[1])
		})
	})
}

// between is the distance of the planes of neighbouring slices, in mm.
func (v *Volume) between() float64 {
	n := len(v.planes)
	if n < 2 {
		return v.thickness()
	}
	normal := v.planes[0].x.cross(v.planes[0].y)
	return math.Abs(v.planes[n-1].along(normal)-v.planes[0].along(normal)) / float64(n-1)
}

// dimensions says what orders the frames: the segment, then the position.
func (s *segWriter) dimensions() {
	type dimension struct {
		pointer, group tag
		label          string
	}
	list := []dimension{
		{tagReferencedSegment, tagSegmentIdentity, "Segment Number"},
		{tagPosition, tagPlanePosition, "Image Position Patient"},
	}
	if s.labelMap {
		list = list[1:]
	}
	uid := s.made("dimensions")
	s.elems.one(tagOrganizations, func(e *elements) { e.text(tagOrganizationUID, "UI", uid) })
	s.elems.sequence(tagDimensions, len(list), func(i int, e *elements) {
		e.text(tagOrganizationUID, "UI", uid)
		e.tags(tagDimensionPointer, list[i].pointer)
		e.tags(tagDimensionGroup, list[i].group)
		e.text(tagDimensionLabel, "LO", list[i].label)
	})
}

// segmentation adds what the segments are.
func (s *segWriter) segmentation() {
	e := s.elems
	kind := "BINARY"
	if s.labelMap {
		kind = "LABELMAP"
	}
	e.text(tagSegmentationType, "CS", kind)
	e.text(tagSegmentsOverlap, "CS", "NO")
	e.text(tagContentLabel, "CS", "SEGMENTATION")
	e.text(tagContentDescription, "LO", s.o.Description)
	e.text(tagContentCreator, "PN", "")
	list := s.segments
	if s.labelMap {
		b := Code{"125040", "DCM", "Background"}
		list = append([]Segment{{Name: "Background", Term: Term{Category: b, Type: b}}}, list...)
	}
	e.sequence(tagSegments, len(list), func(i int, e *elements) { s.segment(e, list[i]) })
}

// number is what g is called in the file.
func (s *segWriter) number(g Segment) uint16 {
	if s.labelMap {
		return uint16(g.Label)
	}
	return uint16(g.Number)
}

func (s *segWriter) segment(e *elements, g Segment) {
	e.shorts(tagSegmentNumber, s.number(g))
	e.text(tagSegmentLabel, "LO", g.Name)
	e.text(tagAlgorithmType, "CS", "AUTOMATIC")
	e.text(tagSegmentAlgorithm, "LO", or(s.o.Algorithm.Name, "gounet"))
	e.one(tagAlgorithms, func(e *elements) {
		e.code(tagAlgorithmFamily, Code{"123110", "DCM", "Artificial Intelligence"})
		e.text(tagAlgorithmName, "LO", or(s.o.Algorithm.Name, "gounet"))
		e.text(tagAlgorithmVersion, "LO", or(s.o.Algorithm.Version, "unknown"))
	})
	lab := cieLab(g.Colour)
	e.shorts(tagCIELab, lab[:]...)
	e.code(tagSegmentCategory, g.Term.Category)
	withModifier(e, tagSegmentType, g.Term.Type, tagSegmentModifier, g.Term.Modifier)
	withModifier(e, tagAnatomicRegion, g.Term.Region, tagRegionModifier, g.Term.RegionModifier)
}

// withModifier adds a term whose item has its modifier.
func withModifier(e *elements, t tag, c Code, modifier tag, m Code) {
	if c == (Code{}) {
		return
	}
	e.one(t, func(e *elements) {
		c.encode(e)
		e.code(modifier, m)
	})
}

// item appends the functional groups of a frame.
func (s *segWriter) item(b []byte, f segFrame) []byte {
	e := &elements{list: make([]rawElement, 0, 4)}
	e.one(tagDerivationImage, func(e *elements) {
		e.code(tagDerivationCode, Code{"113076", "DCM", "Segmentation"})
		e.one(tagSourceImages, func(e *elements) {
			s.reference(e, f.slice)
			preserved := "YES"
			if s.volume.planes[f.slice].tiles > 1 { // a slice cut out of a mosaic
				preserved = "NO"
			}
			e.text(tagSpatialPreserved, "CS", preserved)
			e.code(tagPurpose, Code{"121322", "DCM", "Source image for image processing operation"})
		})
	})
	e.one(tagFrameContent, func(e *elements) {
		if s.labelMap {
			e.longs(tagDimensionValues, s.rank[f.slice])
		} else {
			e.longs(tagDimensionValues, uint32(f.segment+1), s.rank[f.slice])
		}
	})
	e.one(tagPlanePosition, func(e *elements) {
		p := s.volume.planes[f.slice].position
		e.decimals(tagPosition, p[0], p[1], p[2])
	})
	if !s.labelMap {
		e.one(tagSegmentIdentity, func(e *elements) {
			e.shorts(tagReferencedSegment, s.number(s.segments[f.segment]))
		})
	}
	return e.appendItem(b)
}
