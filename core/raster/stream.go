package raster

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zlib"
)

// stream is that of the values of a stack, little-endian, W fastest: what
// strips, tiles, compression and predictors leave of them.
type stream struct {
	s          *stack
	r          io.ReaderAt
	done       func() error
	page, band int64  // that come next
	buffer     []byte // of a band: the rows of a strip, or of tiles beside each other
	row        []byte // of a strip or tile
	rest       []byte // of buffer, not handed out
}

func (v *stream) Close() error { return v.done() }

// Read is io.Reader's.
func (v *stream) Read(b []byte) (int, error) {
	for len(v.rest) == 0 {
		if v.page == int64(len(v.s.pages)) {
			return 0, io.EOF
		}
		if err := v.fill(); err != nil {
			return 0, fmt.Errorf("page %d: %w: the file is damaged, fetch it again", v.page, err)
		}
		down, _ := v.s.bands()
		if v.band++; v.band == down {
			v.page, v.band = v.page+1, 0
		}
	}
	n := copy(b, v.rest)
	v.rest = v.rest[n:]
	return n, nil
}

// fill reads the strips or tiles of a band.
func (v *stream) fill() error {
	s := v.s
	width := s.pixel()
	_, across := s.bands()
	rows := min(s.tileHeight, s.height-v.band*s.tileHeight)
	if v.buffer == nil {
		v.buffer, v.row = make([]byte, s.width*s.tileHeight*width), make([]byte, s.packed())
	}
	p := s.pages[v.page]
	for x := range across {
		k := v.band*across + x
		piece := bufio.NewReaderSize(io.NewSectionReader(v.r, p.offset[k], p.bytes[k]), 1<<16)
		r, err := compressions[s.compression].open(piece)
		if err != nil {
			return fmt.Errorf("strip or tile %d: %w", k, err)
		}
		from := x * s.tileWidth * width
		for y := range rows {
			if _, err := io.ReadFull(r, v.row); err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return fmt.Errorf("strip or tile %d: row %d: %w", k, y, err)
			}
			line := v.buffer[y*s.width*width:][:s.width*width]
			copy(line[from:], s.restore(v.row))
		}
		// A checksum stands behind the last row.
		if _, err := r.Read(v.row[:1]); errors.Is(err, zlib.ErrChecksum) {
			return fmt.Errorf("strip or tile %d: %w", k, err)
		}
	}
	v.rest = v.buffer[:rows*s.width*width]
	return nil
}

// restore makes little-endian numbers of a row, in its place but where they have less
// than a byte.
func (s *stack) restore(row []byte) []byte {
	width, samples := s.typ().Bytes(), int(s.samples)
	switch {
	case s.bits < 8:
		return unpack(row, int(s.bits))
	case s.predictor == 3:
		together(row, width, samples)
		return row
	}
	if s.order == binary.BigEndian {
		for at := 0; at < len(row); at += width {
			slices.Reverse(row[at:][:width])
		}
	}
	if s.predictor == 2 {
		addUp(row, width, samples)
	}
	return row
}

// unpack makes bytes of numbers of 1, 2 or 4 bits, the highest bits first.
func unpack(row []byte, bits int) []byte {
	out := make([]byte, 0, len(row)*8/bits)
	for _, b := range row {
		for at := 8 - bits; at >= 0; at -= bits {
			out = append(out, b>>at&(1<<bits-1))
		}
	}
	return out
}

// addUp undoes differences between pixels, of numbers of width bytes, modulo their range.
func addUp(row []byte, width, samples int) {
	for at := width * samples; at < len(row); at += width {
		carry := 0
		for i := range width {
			carry += int(row[at+i]) + int(row[at+i-width*samples])
			row[at+i] = byte(carry)
			carry >>= 8
		}
	}
}

// together undoes the predictor of floats: differences of bytes, of which the highest of
// all numbers come first.
//
// Source: Adobe Photoshop TIFF Technical Note 3, 2005.
func together(row []byte, width, samples int) {
	for i := samples; i < len(row); i++ {
		row[i] += row[i-samples]
	}
	planes, n := bytes.Clone(row), len(row)/width
	for i, b := range planes {
		row[i%n*width+width-1-i/n] = b
	}
}

// packBits undoes Apple's runs of bytes: n < 128: n + 1 bytes as they are; n > 128: the
// next one 257 − n times.
type packBits struct {
	r      *bufio.Reader
	n      int
	repeat bool
	b      byte
}

func (p *packBits) Read(b []byte) (int, error) {
	for i := range b {
		for p.n == 0 {
			head, err := p.r.ReadByte()
			if err != nil {
				return i, err
			}
			if p.repeat = head > 128; p.repeat {
				if p.b, err = p.r.ReadByte(); err != nil {
					return i, err
				}
				p.n = 257 - int(head)
			} else if head < 128 {
				p.n = int(head) + 1
			}
		}
		p.n--
		if !p.repeat {
			c, err := p.r.ReadByte()
			if err != nil {
				return i, err
			}
			p.b = c
		}
		b[i] = p.b
	}
	return len(b), nil
}
