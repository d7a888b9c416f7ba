package dicom

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// pixelElement says where the pixels of a file are.
type pixelElement struct {
	tag    tag
	vr     string
	offset int64 // of the value, from the start of the (inflated) data set
	length int64 // in bytes; −1 where they are encapsulated in fragments
}

// parser walks over the elements of a data set. Its position is counted from the
// start of the file, or, of a deflated one, in the inflated bytes.
type parser struct {
	r        *bufio.Reader
	at       int64
	end      int64 // no byte is read at or beyond it
	order    binary.ByteOrder
	implicit bool
	keep     map[tag]string // the elements that are kept, with their VR
	kept     int
}

// header is the front of an element. length is undefinedLength where items follow.
type header struct {
	tag    tag
	vr     string
	length int64
}

var errTruncated = errors.New("the file ends inside of it: it is truncated")

// read fills b.
func (p *parser) read(b []byte) error {
	if int64(len(b)) > p.end-p.at {
		return errTruncated
	}
	n, err := io.ReadFull(p.r, b)
	p.at += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errTruncated
	}
	return err
}

// skip passes over n bytes without keeping them.
func (p *parser) skip(n int64) error {
	if n > p.end-p.at {
		return errTruncated
	}
	for n > 0 {
		done, err := p.r.Discard(int(min(n, 1<<30)))
		p.at += int64(done)
		n -= int64(done)
		if err == io.EOF {
			return errTruncated
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// more says whether another element may follow: eight bytes, the least that one
// takes. Less than that is padding.
func (p *parser) more() bool {
	if p.end-p.at < 8 {
		return false
	}
	b, _ := p.r.Peek(8)
	return len(b) == 8
}

// header reads the front of the next element.
func (p *parser) header() (header, error) {
	var b [8]byte
	if err := p.read(b[:]); err != nil {
		return header{}, err
	}
	h := header{tag: tag(p.order.Uint16(b[:]))<<16 | tag(p.order.Uint16(b[2:]))}
	if h.tag>>16 == 0xfffe { // items and delimiters never have a VR
		h.length = int64(p.order.Uint32(b[4:]))
		return h, nil
	}
	vr := string(b[4:6])
	if p.implicit || !isVR(vr) { // some writers leave the VR out of elements of an explicit file
		h.vr = p.keep[h.tag]
		h.length = int64(p.order.Uint32(b[4:]))
		return h, nil
	}
	h.vr = vr
	if shortVR(vr) {
		h.length = int64(p.order.Uint16(b[6:]))
		return h, nil
	}
	var l [4]byte
	if err := p.read(l[:]); err != nil {
		return h, err
	}
	h.length = int64(p.order.Uint32(l[:]))
	return h, nil
}

func isVR(s string) bool { return s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z' }

// shortVR says whether a VR has a 16-bit length. Those that PS3.5 does not know yet
// will have 32 bits (7.1.2).
func shortVR(vr string) bool {
	switch vr {
	case "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FL", "FD", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US":
		return true
	}
	return false
}

// dataSet reads elements up to the pixels, the end of the file or, in an item of
// undefined length, its delimiter.
func (p *parser) dataSet(depth int) (*dataSet, *pixelElement, error) {
	d := &dataSet{order: p.order}
	for p.more() {
		start := p.at
		h, err := p.header()
		if err != nil {
			return nil, nil, p.fail(h, start, err)
		}
		switch {
		case h.tag == tagItemEnd && depth > 0:
			return d, nil, nil
		case h.tag>>16 == 0xfffe: // strays of writers who close what they did not open
			continue
		case depth == 0 && (h.tag == tagPixels || h.tag == tagFloatPixels || h.tag == tagDoublePixels):
			if h.length == undefinedLength {
				h.length = -1
			}
			return d, &pixelElement{tag: h.tag, vr: h.vr, offset: p.at, length: h.length}, nil
		}
		if err := p.element(d, h, depth); err != nil {
			return nil, nil, p.fail(h, start, err)
		}
	}
	return d, nil, nil
}

// fail adds where to err, once: the innermost element is the one at fault.
func (p *parser) fail(h header, at int64, err error) error {
	var located *elementError
	if errors.As(err, &located) {
		return err
	}
	return &elementError{tag: h.tag, at: at, err: err}
}

type elementError struct {
	tag tag
	at  int64
	err error
}

func (e *elementError) Error() string {
	return fmt.Sprintf("element %v at byte %d: %v", e.tag, e.at, e.err)
}
func (e *elementError) Unwrap() error { return e.err }

// element reads the value of h, into d if it is wanted.
func (p *parser) element(d *dataSet, h header, depth int) error {
	vr, keep := p.keep[h.tag]
	if h.length != undefinedLength && h.length > p.end-p.at {
		return fmt.Errorf("%d bytes are declared, %d are left: %w", h.length, p.end-p.at, errTruncated)
	}
	if h.vr == "SQ" || vr == "SQ" || h.length == undefinedLength {
		return p.sequence(d, h, keep && vr == "SQ", depth)
	}
	if !keep {
		return p.skip(h.length)
	}
	if h.length > maxValue {
		return fmt.Errorf("%d bytes, at most %d are read", h.length, maxValue)
	}
	if h.vr == "" || h.vr == "UN" { // UN: passed through a system that did not know the element
		h.vr = vr
	}
	if p.kept++; p.kept > maxElements {
		return fmt.Errorf("more than %d elements of geometry", maxElements)
	}
	value := make([]byte, h.length)
	if err := p.read(value); err != nil {
		return err
	}
	d.elements = append(d.elements, element{tag: h.tag, vr: h.vr, value: value})
	return nil
}

// sequence reads the items of h. A value of undefined length whose VR is UN is a
// sequence in implicit little endian (PS3.5 6.2.2), as old archives make them.
func (p *parser) sequence(d *dataSet, h header, keep bool, depth int) error {
	if depth >= maxDepth {
		return fmt.Errorf("sequences nest deeper than %d", maxDepth)
	}
	if h.length != undefinedLength && !keep {
		return p.skip(h.length)
	}
	if h.vr == "UN" && !p.implicit {
		implicit, order := p.implicit, p.order
		p.implicit, p.order = true, binary.LittleEndian
		defer func() { p.implicit, p.order = implicit, order }()
	}
	end := p.end
	if h.length != undefinedLength {
		p.end = p.at + h.length
		defer func() { p.end = end }()
	}
	e := element{tag: h.tag, vr: "SQ"}
	ended := h.length != undefinedLength
	for p.more() {
		start := p.at
		item, err := p.header()
		if err != nil {
			return p.fail(item, start, err)
		}
		if item.tag == tagSequenceEnd {
			ended = true
			break
		}
		if item.tag != tagItem {
			return p.fail(item, start, errors.New("an item of a sequence was expected"))
		}
		sub, err := p.item(item, keep, depth)
		if err != nil {
			return p.fail(item, start, err)
		}
		if keep {
			if p.kept++; p.kept > maxElements {
				return fmt.Errorf("more than %d items of geometry", maxElements)
			}
			e.items = append(e.items, sub)
		}
	}
	if !ended {
		return errTruncated
	}
	if h.length != undefinedLength {
		if err := p.skip(p.end - p.at); err != nil {
			return err
		}
	}
	if keep {
		d.elements = append(d.elements, e)
	}
	return nil
}

// item reads one item; what is not kept and has a length is skipped.
func (p *parser) item(h header, keep bool, depth int) (*dataSet, error) {
	if h.length == undefinedLength {
		sub, _, err := p.dataSet(depth + 1)
		return sub, err
	}
	if h.length > p.end-p.at {
		return nil, fmt.Errorf("%d bytes are declared, %d are left: %w", h.length, p.end-p.at, errTruncated)
	}
	if !keep {
		return nil, p.skip(h.length)
	}
	end := p.end
	p.end = p.at + h.length
	sub, _, err := p.dataSet(depth + 1)
	if err == nil {
		err = p.skip(p.end - p.at)
	}
	p.end = end
	return sub, err
}
