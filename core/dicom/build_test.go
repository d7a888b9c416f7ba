package dicom

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// builder writes data sets for tests, sound ones and others.
type builder struct {
	bytes.Buffer
	order    binary.ByteOrder
	implicit bool
}

func explicitLE() *builder { return &builder{order: binary.LittleEndian} }

func (b *builder) put(v any) {
	if err := binary.Write(b, b.order, v); err != nil {
		panic(err)
	}
}

// head writes tag, VR and length.
func (b *builder) head(t tag, vr string, length uint32) *builder {
	b.put([]uint16{uint16(t >> 16), uint16(t)})
	switch {
	case b.implicit || t>>16 == 0xfffe:
		b.put(length)
	case shortVR(vr):
		b.WriteString(vr)
		b.put(uint16(length))
	default:
		b.WriteString(vr + "\x00\x00")
		b.put(length)
	}
	return b
}

// text writes an element of text, padded to an even length.
func (b *builder) text(t tag, vr string, v ...any) *builder {
	var parts []string
	for _, x := range v {
		parts = append(parts, fmt.Sprint(x))
	}
	s := strings.Join(parts, `\`)
	if len(s)%2 == 1 {
		s += " "
	}
	b.head(t, vr, uint32(len(s)))
	b.WriteString(s)
	return b
}

// us writes unsigned shorts.
func (b *builder) us(t tag, v ...uint16) *builder {
	b.head(t, "US", uint32(2*len(v)))
	b.put(v)
	return b
}

// sequence writes a sequence of items, of defined or undefined length.
func (b *builder) sequence(t tag, defined bool, items ...func(*builder)) *builder {
	body := &builder{order: b.order, implicit: b.implicit}
	for _, item := range items {
		inner := &builder{order: b.order, implicit: b.implicit}
		item(inner)
		if defined {
			body.head(tagItem, "", uint32(inner.Len()))
			body.Write(inner.Bytes())
		} else {
			body.head(tagItem, "", undefinedLength)
			body.Write(inner.Bytes())
			body.head(tagItemEnd, "", 0)
		}
	}
	if defined {
		b.head(t, "SQ", uint32(body.Len()))
		b.Write(body.Bytes())
	} else {
		b.head(t, "SQ", undefinedLength)
		b.Write(body.Bytes())
		b.head(tagSequenceEnd, "", 0)
	}
	return b
}

// file puts the preamble and the meta header in front of a data set.
func file(syntax string, body []byte) []byte {
	var meta builder
	meta.order = binary.LittleEndian
	meta.text(tagTransferSyntax, "UI", syntax)
	out := explicitLE()
	out.Write(make([]byte, 128))
	out.WriteString("DICM")
	out.head(0x00020000, "UL", 4)
	out.put(uint32(meta.Len()))
	out.Write(meta.Bytes())
	out.Write(body)
	return out.Bytes()
}

// slice describes a slice of a made-up CT of 4 columns and 3 rows.
type slice struct {
	number                 int
	position               vec
	orientation            []any // row, column; axial by default
	uid                    string
	series                 string
	imageType              string
	acquisition, time, tr  string
	echo                   string
	slope, intercept       float64
	photometric            string
	first                  int16 // value of the first pixel; others count up
	spacing                []any
	edit                   func(*builder) // more elements, after those of group 0020
	pixels                 func(*builder) // instead of the pixels
	columns, rows, samples uint16
}

const uncompressed = "1.2.840.10008.1.2.1"

func (s slice) bytes() []byte {
	b := explicitLE()
	s.write(b)
	return file(uncompressed, b.Bytes())
}

func (s slice) write(b *builder) {
	or := func(v, otherwise string) string {
		if v == "" {
			return otherwise
		}
		return v
	}
	b.text(tagImageType, "CS", or(s.imageType, `ORIGINAL\PRIMARY\AXIAL`))
	b.text(tagSOPClass, "UI", "1.2.840.10008.5.1.4.1.1.2")
	b.text(tagSOPInstance, "UI", or(s.uid, fmt.Sprintf("1.2.3.%d.%v", s.number, s.position[2]+1000)))
	b.text(tagModality, "CS", "CT")
	b.text(0x00100010, "PN", "Secret^Name")
	b.text(tagSliceThickness, "DS", 3)
	if s.echo != "" {
		b.text(tagEchoTime, "DS", s.echo)
	}
	if s.tr != "" {
		b.text(tagTriggerTime, "DS", s.tr)
	}
	b.text(tagStudy, "UI", "1.2.3")
	b.text(tagSeries, "UI", or(s.series, "1.2.3.4"))
	b.text(tagSeriesNumber, "IS", 7)
	if s.acquisition != "" {
		b.text(tagAcquisitionNumber, "IS", s.acquisition)
	}
	b.text(tagInstanceNumber, "IS", s.number)
	b.text(tagPosition, "DS", s.position[0], s.position[1], s.position[2])
	o := s.orientation
	if o == nil {
		o = []any{1, 0, 0, 0, 1, 0}
	}
	b.text(tagOrientation, "DS", o...)
	if s.time != "" {
		b.text(tagTemporalPosition, "IS", s.time)
	}
	if s.edit != nil {
		s.edit(b)
	}
	b.us(tagSamples, max(s.samples, 1))
	b.text(tagPhotometric, "CS", or(s.photometric, "MONOCHROME2"))
	rows, columns := max(s.rows, 3), max(s.columns, 4)
	b.us(tagRows, rows)
	b.us(tagColumns, columns)
	if s.spacing == nil {
		s.spacing = []any{0.5, 0.25}
	}
	b.text(tagPixelSpacing, "DS", s.spacing...)
	b.us(tagBitsAllocated, 16)
	b.us(tagBitsStored, 16)
	b.us(tagHighBit, 15)
	b.us(tagSigned, 1)
	b.text(tagIntercept, "DS", s.intercept)
	if s.slope == 0 {
		s.slope = 1
	}
	b.text(tagSlope, "DS", s.slope)
	if s.pixels != nil {
		s.pixels(b)
		return
	}
	n := int(rows) * int(columns) * int(max(s.samples, 1))
	b.head(tagPixels, "OW", uint32(2*n))
	for i := range n {
		b.put(s.first + int16(i))
	}
}

// memory is a file of bytes.
func memory(name string, b []byte) File { return FileOf(name, bytes.NewReader(b), int64(len(b))) }

// stream is a file of bytes that cannot be sought in and whose size is not known.
func stream(name string, b []byte) File {
	return File{Name: name, Size: -1, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}
