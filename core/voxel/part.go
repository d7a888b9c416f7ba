package voxel

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
)

// Encoding is how values became bytes.
type Encoding uint8

// The encodings that files have. Text is decimal numbers between spaces, Hex two
// digits a byte, with spaces anywhere.
const (
	Raw Encoding = iota
	Gzip
	Zlib
	Bzip2
	Text
	Hex
)

func (e Encoding) compressed() bool { return e == Gzip || e == Zlib || e == Bzip2 }

func (e Encoding) String() string {
	return [...]string{"raw", "gzip", "zlib", "bzip2", "text", "hex"}[e]
}

// Part is a stretch of a file that holds values.
type Part struct {
	File     File
	Offset   int64 // of the first byte, compressed or not
	Lines    int   // lines to pass over from there, before anything else
	Encoding Encoding
	Skip     int64 // bytes to pass over after decompression
}

const (
	// deflateRatio is the most that deflate can shrink (RFC 1951; zlib's
	// documentation gives 1032).
	deflateRatio = 1032
	// bzip2Ratio is a bound of ours: blank voxels shrink further, to a millionth, and
	// a scan of nothing else is refused.
	bzip2Ratio = 1 << 14
	maxLines   = 1 << 20
	maxSkip    = 1 << 30
)

// check holds the share of values against the size of the file.
func (p Part) check(values int64, d *Data) error {
	left := p.File.Size - p.Offset
	if p.Offset < 0 || left < 0 {
		return fmt.Errorf("voxel data start at byte %d of %d: the file is truncated, fetch it again", p.Offset, p.File.Size)
	}
	if p.Lines < 0 || p.Lines > maxLines || p.Skip < 0 || p.Skip > maxSkip {
		return fmt.Errorf("%d lines and %d bytes are to be passed over, wanted at most %d and %d", p.Lines, p.Skip, maxLines, int64(maxSkip))
	}
	need, have := p.Skip+values*int64(d.Type.Bytes()), left
	switch p.Encoding {
	case Text:
		need = p.Skip + 2*values - 1 // a digit and a space each
	case Hex:
		need *= 2
	case Gzip, Zlib:
		have *= deflateRatio
	case Bzip2:
		have *= bzip2Ratio
	}
	if need > have {
		shape := d.Grid.Shape
		return fmt.Errorf("%d × %d × %d voxels of %d × %s need %d bytes from byte %d on, the file holds at most %d (%s): it is truncated, fetch it again: %w",
			shape[2], shape[1], shape[0], d.Channels(), d.Type, need, p.Offset, have, p.Encoding, io.ErrUnexpectedEOF)
	}
	return nil
}

// open starts at the first value.
func (p Part) open() (io.Reader, io.Closer, error) {
	f, err := p.File.Open()
	if err != nil {
		return nil, nil, err
	}
	r, err := p.start(f)
	if err != nil {
		_ = f.Close() // the first error says more
		return nil, nil, err
	}
	return r, f, nil
}

func (p Part) start(f io.Reader) (io.Reader, error) {
	if err := skip(f, p.Offset, "header"); err != nil {
		return nil, err
	}
	b := bufio.NewReaderSize(f, 1<<16)
	for i := range p.Lines {
		if err := skipLine(b); err != nil {
			return nil, fmt.Errorf("line %d of %d to pass over: %w", i+1, p.Lines, err)
		}
	}
	var r io.Reader = b
	var err error
	switch p.Encoding {
	case Gzip:
		r, err = gzip.NewReader(b)
	case Zlib:
		r, err = zlib.NewReader(b)
	case Bzip2:
		r = bzip2.NewReader(b)
	case Hex:
		r = hex.NewDecoder(withoutSpace{b})
	}
	if err != nil {
		return nil, fmt.Errorf("%s header at byte %d: %w", p.Encoding, p.Offset, err)
	}
	return r, skip(r, p.Skip, "bytes to pass over")
}

// withoutSpace leaves white space out of what it reads.
type withoutSpace struct{ r io.Reader }

func (w withoutSpace) Read(b []byte) (int, error) {
	for {
		n, err := w.r.Read(b)
		kept := b[:0]
		for _, c := range b[:n] {
			if !strings.ContainsRune(" \t\r\n\v\f", rune(c)) {
				kept = append(kept, c)
			}
		}
		if len(kept) > 0 || err != nil || len(b) == 0 {
			return len(kept), err
		}
	}
}

// skip passes over n bytes, by seeking where that is possible.
func skip(r io.Reader, n int64, what string) error {
	if n == 0 {
		return nil
	}
	if s, ok := r.(io.Seeker); ok {
		if _, err := s.Seek(n, io.SeekCurrent); err == nil {
			return nil
		}
	}
	got, err := io.CopyN(io.Discard, r, n)
	if err != nil {
		return ended(err, what, got, n)
	}
	return nil
}

func skipLine(b *bufio.Reader) error {
	for {
		_, err := b.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// chunk is how many values go through the buffer at once.
const chunk = 1 << 14

// Values reads all values and hands them to visit, scaled, in the file's order: v
// holds the values first, first+1, …
func (d *Data) Values(visit func(first int, v []float64) error) error {
	if err := d.Check(); err != nil {
		return d.fail(err)
	}
	share := d.values() / len(d.Parts)
	v := make([]float64, min(share, chunk))
	raw := make([]byte, len(v)*d.Type.Bytes())
	for i, p := range d.Parts {
		err := d.part(p, i*share, share, v, raw, visit)
		if err != nil {
			return d.fail(d.ofPart(p, err))
		}
	}
	return nil
}

func (d *Data) part(p Part, first, n int, v []float64, raw []byte, visit func(int, []float64) error) error {
	r, f, err := p.open()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read from
	next := d.binary(r, raw, n)
	if p.Encoding == Text {
		next = d.text(r, n)
	}
	for at := 0; at < n; at += len(v) {
		m := min(len(v), n-at)
		if err := next(v[:m], at); err != nil {
			return err
		}
		if d.Slope != 0 && (d.Slope != 1 || d.Inter != 0) {
			for i := range m {
				v[i] = float64(v[i]*d.Slope) + d.Inter // not fused: the same bits on every machine
			}
		}
		if err := visit(first+at, v[:m]); err != nil {
			return err
		}
	}
	if !p.Encoding.compressed() {
		return nil
	}
	// One byte more, so that a checksum behind the values is seen. What else follows is
	// nobody's business.
	if _, err = io.ReadFull(r, raw[:1]); damaged(err) {
		return fmt.Errorf("%s behind %d values: %w: the file is damaged, fetch it again", p.Encoding, n, err)
	}
	return nil
}

// damaged says whether err, of what follows the values, means that they are wrong.
func damaged(err error) bool {
	var structural bzip2.StructuralError
	switch {
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, zlib.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	case errors.As(err, &structural):
		return strings.Contains(string(structural), "checksum") // not the magic of another stream
	}
	return false
}

// binary reads numbers as they lie in memory.
func (d *Data) binary(r io.Reader, raw []byte, n int) func([]float64, int) error {
	width := d.Type.Bytes()
	return func(v []float64, at int) error {
		b := raw[:len(v)*width]
		if got, err := io.ReadFull(r, b); err != nil {
			return ended(err, "voxel data", int64(at*width+got), int64(n*width))
		}
		if d.BigEndian {
			swap(b, width)
		}
		types[d.Type].read(v, b)
		return nil
	}
}

// text reads numbers that people can read. What a line holds does not matter.
func (d *Data) text(r io.Reader, n int) func([]float64, int) error {
	words := bufio.NewScanner(r)
	words.Buffer(make([]byte, 0, 512), 512) // no number is longer
	words.Split(splitNumbers)
	return func(v []float64, at int) error {
		for i := range v {
			if !words.Scan() {
				if err := words.Err(); err != nil {
					return fmt.Errorf("number %d of %d: %w", at+i, n, err)
				}
				return ended(io.ErrUnexpectedEOF, "voxel data", int64(at+i), int64(n))
			}
			x, err := strconv.ParseFloat(words.Text(), 64)
			if err != nil {
				return fmt.Errorf("number %d of %d is %q", at+i, n, Printable(words.Text(), 40))
			}
			v[i] = x
		}
		return nil
	}
}

// splitNumbers is a bufio.SplitFunc: words between white space or commas.
func splitNumbers(data []byte, atEOF bool) (advance int, token []byte, err error) {
	const between = " \t\r\n\v\f,"
	start := 0
	for start < len(data) && bytes.IndexByte([]byte(between), data[start]) >= 0 {
		start++
	}
	if end := bytes.IndexAny(data[start:], between); end >= 0 {
		return start + end + 1, data[start : start+end], nil
	}
	if atEOF && start < len(data) {
		return len(data), data[start:], nil
	}
	return start, nil, nil
}

// ended names a read that stopped after got of want.
func ended(err error, what string, got, want int64) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s ends after %d of %d: the file is truncated, fetch it again: %w", what, got, want, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("%s, %d of %d: %w", what, got, want, err)
}
