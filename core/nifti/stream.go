package nifti

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// stream is an open image: its header, and a reader that gives the voxels next.
type stream struct {
	name  string // of the file with the voxels, for errors
	h     *Header
	data  *source
	close func()
}

// source is one file, unzipped on the way if it is gzipped.
type source struct {
	io.Reader
	zipped bool
	size   int64 // on disk; −1 if unknown
}

// deflateRatio is the most that deflate can shrink: 258 bytes in two bits, and a
// little less (RFC 1951; zlib's documentation gives 1032).
const deflateRatio = 1032

// capacity is the most bytes that s can give, −1 if unknown.
func (s *source) capacity() int64 {
	if s.zipped && s.size >= 0 {
		return deflateRatio * s.size
	}
	return s.size
}

// newSource looks at the first bytes of r: gzip is told by its magic, not by a
// name, which users change.
func newSource(r io.Reader, size int64) (*source, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	magic, err := b.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	s := &source{Reader: b, size: size}
	if string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("gzip header: %w", err)
		}
		s.Reader, s.zipped = z, true
	}
	return s, nil
}

// sizeOf is the bytes that r has left, −1 if it cannot tell.
func sizeOf(r io.Reader) int64 {
	switch r := r.(type) {
	case interface{ Len() int }: // bytes.Reader, bytes.Buffer, strings.Reader
		return int64(r.Len())
	case *os.File:
		if info, err := r.Stat(); err == nil && info.Mode().IsRegular() {
			at, err := r.Seek(0, io.SeekCurrent)
			if err == nil {
				return info.Size() - at
			}
		}
	}
	return -1
}

// PairNames gives the .hdr and .img of a path that ends in one of the two, both
// gzipped or neither.
func PairNames(path string) (hdr, img string, ok bool) {
	stem, gz := path, ""
	if n := len(path) - 3; n > 0 && strings.EqualFold(path[n:], ".gz") {
		stem, gz = path[:n], path[n:]
	}
	n := len(stem) - 4
	if n < 0 {
		return "", "", false
	}
	switch ext := stem[n:]; {
	case strings.EqualFold(ext, ".hdr"):
		return path, stem[:n] + sameCase(ext, ".img", ".IMG") + gz, true
	case strings.EqualFold(ext, ".img"):
		return stem[:n] + sameCase(ext, ".hdr", ".HDR") + gz, path, true
	}
	return "", "", false
}

func sameCase(of, lower, upper string) string {
	if of == strings.ToUpper(of) {
		return upper
	}
	return lower
}

// open reads the header of the file or pair at path and, with voxels, goes on to
// the first voxel and checks that the file can hold what the header declares.
func open(path string, voxels bool) (*stream, error) {
	hdr, img, pair := PairNames(path)
	if !pair {
		hdr = path
	}
	f, err := openRegular(hdr)
	if err != nil {
		if hdr != path {
			return nil, fmt.Errorf("nifti: %s: its header: %w", path, err)
		}
		return nil, fmt.Errorf("nifti: %w", err)
	}
	if !pair {
		s, err := openSingle(f, path, voxels)
		if err != nil {
			_ = f.Close() // the first error says more
			return nil, err
		}
		s.close = func() { _ = f.Close() } // only read from
		return s, nil
	}
	s, err := openHeader(f, hdr)
	_ = f.Close() // only read from
	if err != nil || !voxels {
		return s, err
	}
	g, err := openRegular(img)
	if err != nil {
		return nil, fmt.Errorf("nifti: %s: its voxels: %w", hdr, err)
	}
	if err := s.attach(g, img); err != nil {
		_ = g.Close() // the first error says more
		return nil, err
	}
	s.close = func() { _ = g.Close() } // only read from
	return s, nil
}

// openRegular opens a file, but not a pipe or a device, which may keep a reader
// waiting without end.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file: give a file of voxels", path)
	}
	return os.Open(path)
}

// openSingle starts a single file (.nii) at r.
func openSingle(r io.Reader, name string, voxels bool) (*stream, error) {
	fail := func(err error) (*stream, error) { return nil, fmt.Errorf("nifti: %s: %w", name, err) }
	src, err := newSource(r, sizeOf(r))
	if err != nil {
		return fail(err)
	}
	h, err := readHeader(src, false)
	if err != nil {
		return fail(err)
	}
	taken, err := h.readExtensions(src)
	if err != nil {
		return fail(err)
	}
	s := &stream{name: name, h: h, data: src, close: func() {}}
	if !voxels {
		return s, nil
	}
	if err := s.start(h.size() + taken); err != nil {
		return fail(err)
	}
	return s, nil
}

// openHeader reads an .hdr file.
func openHeader(r io.Reader, name string) (*stream, error) {
	fail := func(err error) (*stream, error) { return nil, fmt.Errorf("nifti: %s: %w", name, err) }
	src, err := newSource(r, sizeOf(r))
	if err != nil {
		return fail(err)
	}
	h, err := readHeader(src, true)
	if err != nil {
		return fail(err)
	}
	if _, err := h.readExtensions(src); err != nil {
		return fail(err)
	}
	return &stream{name: name, h: h, close: func() {}}, nil
}

// attach gives an .hdr's stream its .img.
func (s *stream) attach(r io.Reader, name string) error {
	src, err := newSource(r, sizeOf(r))
	if err == nil {
		s.name, s.data = name, src
		err = s.start(0)
	}
	if err != nil {
		return fmt.Errorf("nifti: %s: %w", name, err)
	}
	return nil
}

// start checks sizes and goes to the first voxel, at bytes of the file having been
// read.
func (s *stream) start(at int64) error {
	t := dtypes[s.h.raw.Datatype]
	if t.read == nil {
		return fmt.Errorf("voxels of type %s: %s", t.name, t.why)
	}
	if n := len(s.h.Shape); n > 5 {
		for _, d := range s.h.Shape[5:] {
			if d != 1 {
				return fmt.Errorf("shape %v has %d axes, wanted x, y, z, time and vector at most", s.h.Shape, n)
			}
		}
	}
	bytes := int64(s.h.values()) * int64(t.bytes)
	if err := s.checkCapacity(s.h.raw.VoxOffset + bytes); err != nil {
		return err
	}
	skip := s.h.raw.VoxOffset - at
	if n, err := io.CopyN(io.Discard, s.data, skip); err != nil {
		return ended(err, "space before the voxels", n, skip)
	}
	return nil
}

// checkCapacity compares what the header needs with what the file can hold, so
// that a small file never makes a large allocation.
func (s *stream) checkCapacity(need int64) error {
	have := s.data.capacity()
	switch {
	case have < 0:
		const blind = 1 << 30 // bytes that are taken on trust
		if 4*int64(s.h.values()) > blind {
			return fmt.Errorf("shape %v of a stream whose length is unknown, at most %d bytes are read so: store it as a file first", s.h.Shape, int64(blind))
		}
	case need > have && s.data.zipped:
		return fmt.Errorf("header declares %d bytes (shape %v, %s), more than the %d bytes of gzip can hold: the file is truncated, fetch it again: %w",
			need, s.h.Shape, s.h.DType, s.data.size, io.ErrUnexpectedEOF)
	case need > have:
		return fmt.Errorf("file ends after %d of %d bytes (shape %v, %s): the file is truncated, fetch it again: %w",
			have, need, s.h.Shape, s.h.DType, io.ErrUnexpectedEOF)
	}
	return nil
}

// chunk is how many values go through the buffer at once: what fits a second-level
// cache with room to spare.
const chunk = 1 << 14

// values reads all voxels and hands them to visit, scaled, in the file's order:
// v holds the values first, first+1, …
func (s *stream) values(visit func(first int, v []float64) error) error {
	t := dtypes[s.h.raw.Datatype]
	n := s.h.values()
	buf := make([]byte, min(n, chunk)*t.bytes)
	v := make([]float64, min(n, chunk))
	for first := 0; first < n; first += chunk {
		m := min(chunk, n-first)
		b := buf[:m*t.bytes]
		if got, err := io.ReadFull(s.data, b); err != nil {
			return fmt.Errorf("nifti: %s: %w", s.name, ended(err, "voxel data", int64(first*t.bytes+got), int64(n*t.bytes)))
		}
		if s.h.BigEndian {
			swap(b, t.bytes)
		}
		t.read(v[:m], b)
		if s.h.Scaled() {
			scale(v[:m], s.h.Slope, s.h.Inter)
		}
		if err := visit(first, v[:m]); err != nil {
			return fmt.Errorf("nifti: %s: %w", s.name, err)
		}
	}
	return s.finish()
}

// scale is v*slope + inter in two roundings, as numpy computes it; the conversion
// keeps compilers from fusing them.
func scale(v []float64, slope, inter float64) {
	for i := range v {
		v[i] = float64(v[i]*slope) + inter
	}
}

// finish reads on by a byte, so that the checksum at the end of a gzip member is
// seen. What follows the voxels is nobody's business.
func (s *stream) finish() error {
	if !s.data.zipped {
		return nil
	}
	var one [1]byte
	_, err := io.ReadFull(s.data, one[:])
	switch {
	case errors.Is(err, gzip.ErrChecksum):
		return fmt.Errorf("nifti: %s: gzip checksum differs: the file is damaged, fetch it again: %w", s.name, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("nifti: %s: gzip trailer is missing: the file is truncated, fetch it again: %w", s.name, err)
	}
	return nil
}
