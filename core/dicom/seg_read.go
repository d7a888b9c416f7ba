package dicom

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/volume"
)

// Segmentation is a DICOM segmentation (PS3.3 A.51) of type BINARY, FRACTIONAL or
// LABELMAP, whoever wrote it: its segments and the places of its frames. Labels reads
// the voxels.
type Segmentation struct {
	Kind                string    // the type
	Segments            []Segment // by number; labels are numbers, or ranks where a number is above 254
	volume.Grid                   // of its own frames: from the first to the last, those left out included
	FrameOfReferenceUID string
	SourceSeries        []string // UIDs of the series that it refers to

	file       File
	info       *parsed
	format     pixelFormat
	frames     []segPlace
	background uint16  // of a label map
	maximum    float64 // the fraction 1
}

// segPlace says where a frame belongs.
type segPlace struct {
	plane
	label uint8 // 0 in a label map
	slice int   // in the grid of the segmentation
}

// segWanted are the elements that are kept of segmentations.
var segWanted = map[tag]string{
	tagTransferSyntax: "UI", tagCharacterSet: "CS", tagSOPClass: "UI", tagModality: "CS", tagSeries: "UI", tagFrameOfReference: "UI",
	tagSamples: "US", tagPhotometric: "CS", tagFrames: "IS", tagRows: "US", tagColumns: "US", tagBitsAllocated: "US",
	tagBitsStored: "US", tagHighBit: "US", tagSigned: "US", tagPixelPadding: "US", tagOffsetTable: "OV",
	tagPixelSpacing: "DS", tagSliceThickness: "DS", tagSpacingBetween: "DS", tagPosition: "DS", tagOrientation: "DS",
	tagPlanePosition: "SQ", tagPlaneOrientation: "SQ", tagPixelMeasures: "SQ", tagSharedGroups: "SQ", tagFrameGroups: "SQ",
	tagSegmentIdentity: "SQ", tagReferencedSegment: "US", tagReferencedSeries: "SQ", tagMaximumFractional: "US",
	tagSegmentationType: "CS", tagSegments: "SQ", tagSegmentNumber: "US", tagSegmentLabel: "LO", tagCIELab: "US",
	tagSegmentCategory: "SQ", tagSegmentType: "SQ", tagSegmentModifier: "SQ", tagAnatomicRegion: "SQ", tagRegionModifier: "SQ",
	tagCodeValue: "SH", tagCodingScheme: "SH", tagCodeMeaning: "LO",
}

// ErrNotSegmentation is wrapped by errors of DICOM files that are something else.
var ErrNotSegmentation = errors.New("no DICOM segmentation")

// OpenSEG reads the front of a segmentation.
func OpenSEG(f File) (*Segmentation, error) {
	f.Name = printable(f.Name, 512)
	s, err := openSEG(f)
	if err != nil {
		return nil, fmt.Errorf("dicom: %s: %w", f.Name, err)
	}
	return s, nil
}

func openSEG(f File) (*Segmentation, error) {
	info, err := parseKeeping(f, segWanted)
	if err != nil {
		return nil, err
	}
	s := &Segmentation{Kind: info.text(tagSegmentationType), FrameOfReferenceUID: info.text(tagFrameOfReference), file: f, info: info}
	switch class := info.text(tagSOPClass); {
	case class != classSEG && class != classLabelMap && info.text(tagModality) != "SEG":
		return nil, fmt.Errorf("%w: modality %s", ErrNotSegmentation, shownCode(info.text(tagModality)))
	case info.pixels == nil:
		return nil, fmt.Errorf("element %v, the pixels, is missing", tagPixels)
	}
	if e := info.find(tagReferencedSeries); e != nil {
		for _, item := range e.items {
			s.SourceSeries = append(s.SourceSeries, item.text(tagSeries))
		}
	}
	if s.format, err = newPixelFormat(info); err != nil {
		return nil, err
	}
	if err := s.checkFormat(); err != nil {
		return nil, err
	}
	numbers, err := s.readSegments()
	if err != nil {
		return nil, err
	}
	if err := s.place(numbers); err != nil {
		return nil, err
	}
	return s, s.layOut()
}

// checkFormat finds pixels that the type cannot have, and those that the file has not.
func (s *Segmentation) checkFormat() error {
	f, want := &s.format, 8
	switch s.Kind {
	case "BINARY":
		want = 1
	case "FRACTIONAL":
		s.maximum = s.info.number(tagMaximumFractional, 0)
		if !(s.maximum >= 1 && s.maximum <= 255) {
			return fmt.Errorf("element %v, the fraction 1, is %g: want 1 to 255", tagMaximumFractional, s.maximum)
		}
	case "LABELMAP":
		if f.allocated == 16 {
			want = 16
		}
		s.background = uint16(s.info.integer(tagPixelPadding, 0))
	default:
		return fmt.Errorf("element %v is %s: BINARY, FRACTIONAL and LABELMAP are read", tagSegmentationType, shownCode(s.Kind))
	}
	if f.allocated != want || f.stored != want || f.samples != 1 || f.signed || f.float {
		return fmt.Errorf("%d samples of %d bits, %d of them stored, where %s has one of %d", f.samples, f.allocated, f.stored, s.Kind, want)
	}
	if want > 1 {
		return enough(s.file, s.info, f)
	}
	at := s.info.pixels
	need := (int64(f.count())*int64(f.frames) + 7) / 8
	if at.length < 0 || s.info.syntax.codec != native || s.info.syntax.bigEndian {
		return fmt.Errorf("frames of bits in transfer syntax %s: convert the file to an uncompressed one in little endian", s.info.syntax.name)
	}
	left := int64(maxUnsized)
	if s.file.Size >= 0 && !s.info.syntax.deflated {
		left = s.file.Size - at.offset
	}
	if min(at.length, left) < need {
		return fmt.Errorf("element %v has %d bytes, of which %d are left of the file; %d frames of %d×%d bits need %d",
			at.tag, at.length, left, f.frames, f.columns, f.rows, need)
	}
	return nil
}

// readSegments reads what the segments are, and returns the label of each number.
func (s *Segmentation) readSegments() (map[int]uint8, error) {
	e := s.info.find(tagSegments)
	if e == nil {
		return nil, fmt.Errorf("element %v, the segments, is missing", tagSegments)
	}
	set := strings.Join(s.info.texts(tagCharacterSet), `\`)
	largest := 0
	for i, item := range e.items {
		n := item.integer(tagSegmentNumber, -1)
		if n < 0 || n > math.MaxUint16 {
			return nil, fmt.Errorf("segment %d has no number in element %v", i+1, tagSegmentNumber)
		}
		if s.Kind == "LABELMAP" && n == int(s.background) {
			continue
		}
		g := Segment{Number: n, Name: readable(item.text(tagSegmentLabel), set), Term: termOf(item, set)}
		if lab, ok := item.numbers(tagCIELab); ok && len(lab) == 3 {
			g.Colour = rgbOf([3]uint16{uint16(lab[0]), uint16(lab[1]), uint16(lab[2])})
		}
		s.Segments = append(s.Segments, g)
		largest = max(largest, n)
	}
	if len(s.Segments) > volume.MaxLabel {
		return nil, fmt.Errorf("%d segments, at most %d are read", len(s.Segments), volume.MaxLabel)
	}
	slices.SortStableFunc(s.Segments, func(a, b Segment) int { return cmp.Compare(a.Number, b.Number) })
	labels := map[int]uint8{}
	for i := range s.Segments {
		g := &s.Segments[i]
		if _, twice := labels[g.Number]; twice {
			return nil, fmt.Errorf("two segments have number %d", g.Number)
		}
		g.Label = uint8(g.Number)
		if largest > volume.MaxLabel || s.Segments[0].Number == 0 {
			g.Label = uint8(i + 1)
		}
		labels[g.Number] = g.Label
	}
	return labels, nil
}

// termOf reads the codes of a segment.
func termOf(d *dataSet, set string) Term {
	code := func(d *dataSet) Code {
		return Code{
			Value: printable(d.text(tagCodeValue), 64), Scheme: printable(d.text(tagCodingScheme), 16),
			Meaning: readable(d.text(tagCodeMeaning), set),
		}
	}
	kind, region := d.item(tagSegmentType), d.item(tagAnatomicRegion)
	return Term{
		Category: code(d.item(tagSegmentCategory)), Type: code(kind), Modifier: code(kind.item(tagSegmentModifier)),
		Region: code(region), RegionModifier: code(region.item(tagRegionModifier)),
	}
}

// readable is text of a file in UTF-8, without control characters. Of character sets
// that do not convert, what is not ASCII becomes a question mark.
func readable(s, set string) string {
	ascii := !slices.Contains(convertible, set)
	if !ascii {
		s = unicodeOf(s, set)
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || ascii && c > 0x7f {
			return '?'
		}
		return c
	}, s)
}

// place reads the segment and the place of each frame.
func (s *Segmentation) place(labels map[int]uint8) error {
	d := &s.info.dataSet
	shared := d.item(tagSharedGroups)
	var own []*dataSet
	if e := d.find(tagFrameGroups); e != nil {
		own = e.items
	}
	if len(own) != s.format.frames {
		return fmt.Errorf("element %v has %d items for %d frames", tagFrameGroups, len(own), s.format.frames)
	}
	s.frames = make([]segPlace, len(own))
	for i := range own {
		group := func(t tag) *dataSet {
			if g := own[i].item(t); g != nil {
				return g
			}
			return shared.item(t)
		}
		p := &s.frames[i]
		p.frame, p.rows, p.columns = i, s.format.rows, s.format.columns
		if err := p.plane.place(group(tagPlanePosition), group(tagPlaneOrientation), group(tagPixelMeasures), d); err != nil {
			return fmt.Errorf("frame %d: %w", i+1, err)
		}
		if s.Kind == "LABELMAP" {
			continue
		}
		n := group(tagSegmentIdentity).integer(tagReferencedSegment, -1)
		label, known := labels[n]
		if !known {
			return fmt.Errorf("frame %d: element %v is %d, which no segment has", i+1, tagReferencedSegment, n)
		}
		p.label = label
	}
	return nil
}
