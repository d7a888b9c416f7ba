package dicom

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
)

// File is one input. Open is called once to read its elements and again to read its
// pixels; a returned reader that is an io.Seeker is sought in.
type File struct {
	Name string // shown in errors
	Size int64  // bytes, −1 if unknown
	Open func() (io.ReadCloser, error)
}

// shortest is less than any file: an element without a value.
const shortest = 8

// parsed is the front of a file: what comes before the pixels.
type parsed struct {
	dataSet
	syntax syntax
	uid    string // of the transfer syntax; "" where the file does not say
	pixels *pixelElement
	body   int64 // where the deflated part starts, of a deflated file
}

// parse reads f up to its pixels and keeps what scans need.
func parse(f File) (*parsed, error) { return parseKeeping(f, wanted) }

// parseKeeping reads f up to its pixels and keeps the elements that are in keep.
func parseKeeping(f File, keep map[tag]string) (*parsed, error) {
	if f.Size >= 0 && f.Size < shortest {
		return nil, ErrNotDICOM
	}
	rc, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	p := &parser{r: bufio.NewReaderSize(rc, 1<<14), end: f.Size, order: binary.LittleEndian, keep: keep}
	if f.Size < 0 {
		p.end = maxUnsized
	}
	if err := p.preamble(); err != nil {
		return nil, err
	}
	out := &parsed{}
	meta, err := p.meta()
	if err != nil {
		return nil, err
	}
	out.uid = meta.text(tagTransferSyntax)
	s, known := syntaxes[out.uid]
	if !known && out.uid != "" {
		if name, ok := unreadable[out.uid]; ok {
			return nil, fmt.Errorf("transfer syntax %s is not read: convert the file to an uncompressed or lossless one", name)
		}
		s = syntax{name: "unknown"} // what PS3.5 A.4 asks of all new ones: explicit little endian
	}
	if s.deflated {
		out.body = p.at
		p.r = bufio.NewReaderSize(flate.NewReader(p.r), 1<<14)
		p.at, p.end = 0, inflatedLimit(f.Size)
	}
	if err := p.settle(&s, known); err != nil {
		return nil, err
	}
	d, pixels, err := p.dataSet(0)
	if err != nil {
		return nil, err
	}
	out.dataSet, out.pixels, out.syntax = *d, pixels, s
	if !known && out.uid != "" && pixels != nil {
		return nil, fmt.Errorf("transfer syntax %s is unknown: convert the file to an uncompressed or lossless one", shownUID(out.uid))
	}
	return out, nil
}

// inflatedLimit is how many bytes a deflated file of size bytes is read to. Scans
// deflate to a half, blank ones to a hundredth.
func inflatedLimit(size int64) int64 {
	if size < 0 {
		return 1 << 30
	}
	return 100*size + 64<<20
}

// preamble passes over the 128 bytes and "DICM" in front, or finds that a file
// starts without them, as old archives and network dumps have them.
func (p *parser) preamble() error {
	b, err := p.r.Peek(132)
	if err != nil && err != io.EOF {
		return err
	}
	if len(b) == 132 && string(b[128:]) == "DICM" {
		return p.skip(132)
	}
	if len(b) >= 4 && string(b[:4]) == "DICM" {
		return p.skip(4)
	}
	if len(b) >= 8 && plausibleFirst(b) {
		return nil
	}
	return ErrNotDICOM
}

// plausibleFirst says whether b starts with an element of the groups 2 or 8, in
// either byte order, of a size that the first element can have.
func plausibleFirst(b []byte) bool {
	for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		group, element := o.Uint16(b), o.Uint16(b[2:])
		if group != 2 && group != 8 || element > 0x0100 {
			continue
		}
		if isVR(string(b[4:6])) || o.Uint32(b[4:]) < 1024 {
			return true
		}
	}
	return false
}

// meta reads the elements of group 2. Their declared length is not trusted, since
// editors leave it stale; the group of the next element tells the end.
func (p *parser) meta() (*dataSet, error) {
	d := &dataSet{order: binary.LittleEndian}
	for {
		b, _ := p.r.Peek(8)
		if len(b) < 8 || binary.LittleEndian.Uint16(b) != 2 {
			return d, nil
		}
		p.implicit = !isVR(string(b[4:6]))
		start := p.at
		h, err := p.header()
		if err == nil {
			err = p.element(d, h, 0)
		}
		if err != nil {
			return nil, p.fail(h, start, err)
		}
	}
}

// settle finds the byte order and whether VRs are there by looking at the first
// element, since files exist whose meta header says otherwise or nothing.
func (p *parser) settle(s *syntax, known bool) error {
	b, err := p.r.Peek(8)
	if len(b) < 8 {
		if err == io.EOF {
			return errTruncated
		}
		return err
	}
	if !known {
		// A first group of 256 or more is a small one in the other order.
		s.bigEndian = binary.LittleEndian.Uint16(b) >= 0x100 && binary.BigEndian.Uint16(b) < 0x100
	}
	if s.bigEndian {
		p.order = binary.BigEndian
	}
	p.implicit = !isVR(string(b[4:6]))
	s.implicit = p.implicit
	return nil
}

// printable is s without control characters, cut to n bytes, for errors.
func printable(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	out := []byte(s)
	for i, c := range out {
		if c < ' ' || c > '~' {
			out[i] = '?'
		}
	}
	return string(out)
}
