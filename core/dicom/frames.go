package dicom

import (
	"bufio"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// pixelReader reads the pixels of a file frame by frame.
type pixelReader struct {
	file   io.Closer
	p      *parser
	format *pixelFormat
	info   *parsed
	parts  [][]fragment // fragments of each frame, of encapsulated pixels of several frames
	buf    []byte
	at     int // frames read, of native pixels
}

// fragment is a piece of a compressed frame: where it starts and how long it is.
type fragment struct{ at, length int64 }

// openPixels opens f at its first frame; buf is memory that it may use.
func openPixels(f File, info *parsed, format *pixelFormat, buf []byte) (*pixelReader, error) {
	if err := enough(f, info, format); err != nil {
		return nil, err
	}
	r := &pixelReader{format: format, info: info, buf: buf}
	if info.pixels.length < 0 && format.frames > 1 {
		if err := r.open(f); err != nil {
			return nil, err
		}
		parts, err := r.index()
		r.close()
		if err != nil {
			return nil, err
		}
		r.parts = parts
	}
	return r, r.open(f)
}

// enough says whether f can hold the pixels that its header declares, before memory
// is taken for them.
func enough(f File, info *parsed, format *pixelFormat) error {
	at, need := info.pixels, format.frameBytes()*int64(format.frames)
	left := int64(maxUnsized)
	if f.Size >= 0 && !info.syntax.deflated {
		left = f.Size - at.offset
	}
	switch compressed := info.syntax.codec != native; {
	case at.length < 0 && !compressed && info.uid != encapsulatedNative:
		return fmt.Errorf("element %v is in fragments, which transfer syntax %s has not", at.tag, info.syntax.name)
	case at.length < 0:
		if least := int64(format.frames) * 8; left < least {
			return fmt.Errorf("element %v: %d bytes are left of the file for %d compressed frames: it is truncated", at.tag, left, format.frames)
		}
	case compressed:
		return fmt.Errorf("element %v is not in fragments, which transfer syntax %s needs", at.tag, info.syntax.name)
	case at.length < need:
		return fmt.Errorf("element %v has %d bytes, %d frames of %d×%d need %d", at.tag, at.length, format.frames, format.columns, format.rows, need)
	case left < need:
		return fmt.Errorf("element %v: %d bytes are left of the file, %d frames of %d×%d need %d: it is truncated",
			at.tag, left, format.frames, format.columns, format.rows, need)
	}
	return nil
}

// open positions the reader at the value of the pixels.
func (r *pixelReader) open(f File) error {
	rc, err := f.Open()
	if err != nil {
		return err
	}
	r.file = rc
	r.p = &parser{end: f.Size, order: r.info.order}
	if f.Size < 0 {
		r.p.end = maxUnsized
	}
	if r.info.syntax.deflated {
		p := &parser{r: bufio.NewReader(rc), end: r.p.end}
		if err = p.skip(r.info.body); err == nil {
			r.p.r, r.p.end = bufio.NewReaderSize(flate.NewReader(p.r), 1<<14), inflatedLimit(f.Size)
			err = r.p.skip(r.info.pixels.offset)
		}
	} else if s, ok := rc.(io.Seeker); ok {
		_, err = s.Seek(r.info.pixels.offset, io.SeekStart)
		r.p.at, r.p.r = r.info.pixels.offset, bufio.NewReaderSize(rc, 1<<14)
	} else {
		r.p.r = bufio.NewReaderSize(rc, 1<<14)
		err = r.p.skip(r.info.pixels.offset)
	}
	if err != nil {
		rc.Close()
	}
	return err
}

// close closes the file, of which everything wanted was read.
func (r *pixelReader) close() { _ = r.file.Close() }

// next reads the bytes of frame i; frames are asked for in order. The bytes are valid
// until the next call.
func (r *pixelReader) next(i int) ([]byte, error) {
	if r.info.pixels.length >= 0 {
		n := r.format.frameBytes()
		if r.format.swapped && r.format.frames == 1 {
			n = min(n+n&1, r.info.pixels.length) // the last byte lies behind the padding
		}
		if r.format.allocated == 1 && r.format.frames > 1 && r.format.count()%8 != 0 {
			return nil, errors.New("frames of bits that share bytes")
		}
		if err := r.p.skip(n * int64(i-r.at)); err != nil {
			return nil, err
		}
		r.at = i + 1
		r.buf = grown(r.buf, int(n))
		return r.buf, r.p.read(r.buf)
	}
	r.buf = r.buf[:0]
	if r.parts == nil {
		return r.single()
	}
	for _, part := range r.parts[i] {
		if part.at < r.p.at {
			return nil, fmt.Errorf("fragment at byte %d was read before", part.at)
		}
		if err := r.p.skip(part.at - r.p.at); err != nil {
			return nil, err
		}
		if err := r.append(part.length); err != nil {
			return nil, err
		}
	}
	return r.buf, nil
}

// single joins all fragments but the first, which is the table of offsets.
func (r *pixelReader) single() ([]byte, error) {
	for n := 0; ; n++ {
		h, end, err := r.item()
		if err != nil {
			return nil, err
		}
		if end {
			if n < 2 {
				return nil, errors.New("encapsulated pixels without a fragment")
			}
			return r.buf, nil
		}
		if n == 0 {
			err = r.p.skip(h.length)
		} else {
			err = r.append(h.length)
		}
		if err != nil {
			return nil, err
		}
	}
}

// append reads n bytes to the end of buf. A frame may be twice as large as it is
// without compression, and some headers more.
func (r *pixelReader) append(n int64) error {
	most := 2*r.format.frameBytes() + 1<<20
	if n > most || int64(len(r.buf))+n > most {
		return fmt.Errorf("a compressed frame of more than %d bytes, for %d×%d pixels", most, r.format.columns, r.format.rows)
	}
	if n > r.p.end-r.p.at {
		return errTruncated
	}
	at := len(r.buf)
	r.buf = append(r.buf, make([]byte, n)...)
	return r.p.read(r.buf[at:])
}

// item reads the header of the next fragment; end where there is none. Pixels whose
// delimiter is missing end with the file.
func (r *pixelReader) item() (h header, end bool, err error) {
	if !r.p.more() {
		return h, true, nil
	}
	start := r.p.at
	r.p.order = binary.LittleEndian // encapsulated syntaxes have no other
	h, err = r.p.header()
	switch {
	case err != nil:
	case h.tag == tagSequenceEnd:
		return h, true, nil
	case h.tag != tagItem:
		err = errors.New("a fragment of pixels was expected")
	case h.length > r.p.end-r.p.at:
		err = fmt.Errorf("a fragment of %d bytes, %d are left: %w", h.length, r.p.end-r.p.at, errTruncated)
	}
	if err != nil {
		err = r.p.fail(h, start, err)
	}
	return h, false, err
}

// index finds the fragments of each frame: one each, or by the table of offsets in
// the first fragment, or else by where code streams start.
func (r *pixelReader) index() ([][]fragment, error) {
	h, end, err := r.item()
	if err != nil {
		return nil, err
	}
	if end {
		return nil, errors.New("encapsulated pixels without a fragment")
	}
	var offsets []int64
	if h.length == int64(r.format.frames)*4 {
		b := make([]byte, h.length)
		if err := r.p.read(b); err != nil {
			return nil, err
		}
		for ; len(b) > 0; b = b[4:] {
			offsets = append(offsets, int64(binary.LittleEndian.Uint32(b)))
		}
	} else if err := r.p.skip(h.length); err != nil {
		return nil, err
	}
	if e := r.info.find(tagOffsetTable); offsets == nil && e != nil && len(e.value) == r.format.frames*8 {
		for b := e.value; len(b) > 0; b = b[8:] {
			offsets = append(offsets, int64(binary.LittleEndian.Uint64(b)))
		}
	}
	origin := r.p.at
	var all []fragment
	var starts []bool
	for {
		h, end, err := r.item()
		if err != nil {
			return nil, err
		}
		if end {
			break
		}
		if len(all) >= maxElements {
			return nil, fmt.Errorf("more than %d fragments of pixels", maxElements)
		}
		b, _ := r.p.r.Peek(2)
		starts = append(starts, h.length >= 2 && len(b) == 2 && b[0] == 0xff && (b[1] == 0xd8 || b[1] == 0x4f))
		all = append(all, fragment{at: r.p.at, length: h.length})
		if err := r.p.skip(h.length); err != nil {
			return nil, err
		}
	}
	return group(all, starts, offsets, origin, r.format.frames)
}

// group shares out fragments among frames. offsets count from origin to the headers
// of fragments, which are eight bytes before their data.
func group(all []fragment, starts []bool, offsets []int64, origin int64, frames int) ([][]fragment, error) {
	parts := make([][]fragment, 0, frames)
	if len(all) == frames {
		for i := range all {
			parts = append(parts, all[i:i+1])
		}
		return parts, nil
	}
	begins := func(i int) bool {
		if offsets == nil {
			return starts[i]
		}
		return len(parts) < len(offsets) && all[i].at-8-origin == offsets[len(parts)]
	}
	for i := range all {
		if begins(i) {
			parts = append(parts, nil)
		} else if len(parts) == 0 {
			return nil, errors.New("the first fragment starts no frame")
		}
		k := len(parts) - 1
		parts[k] = append(parts[k], all[i])
	}
	if len(parts) != frames {
		return nil, fmt.Errorf("%d fragments are %d frames, %v says %d", len(all), len(parts), tagFrames, frames)
	}
	return parts, nil
}
