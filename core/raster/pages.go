package raster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/voxel"
)

// directories reads the directories of a TIFF, or of a BigTIFF, whose numbers are
// twice as long. Nothing is believed: what it has read of them can be no more than the
// file has bytes, so that neither loops nor directories that overlap go on for long.
//
// Source: TIFF 6.0, Adobe 1992; BigTIFF as libtiff has it.
type directories struct {
	r     io.ReaderAt
	size  int64
	order binary.ByteOrder
	big   bool
	left  int64 // bytes that may still be read

	block   []byte // of the file, from blockAt on
	blockAt int64
}

// Tags of directories.
const (
	tagSubfile     = 254
	tagWidth       = 256
	tagHeight      = 257
	tagBits        = 258
	tagCompression = 259
	tagPhotometric = 262
	tagFillOrder   = 266
	tagDescription = 270
	tagStrips      = 273
	tagSamples     = 277
	tagRows        = 278
	tagStripBytes  = 279
	tagPlanar      = 284
	tagPredictor   = 317
	tagTileWidth   = 322
	tagTileHeight  = 323
	tagTiles       = 324
	tagTileBytes   = 325
	tagFormat      = 339
	tagDepth       = 32997
)

// entry is a tag's: count values of a type, in raw or where raw says.
type entry struct {
	kind  uint16
	count int64
	raw   []byte
}

// tags are what a directory says, by tag.
type tags map[uint16]entry

// page is one picture of a TIFF.
type page struct {
	facts
	offset []int64 // of each strip or tile
	bytes  []int64
}

const (
	maxPages       = 1 << 16
	maxDescription = 1 << 20
	blockBytes     = 1 << 16
)

// at reads n bytes from offset on.
func (d *directories) at(offset, n int64) ([]byte, error) {
	if offset < 8 || n < 0 || offset > d.size-n {
		return nil, fmt.Errorf("%d bytes at byte %d of %d: the file is truncated or damaged, fetch it again", n, offset, d.size)
	}
	if d.left -= n; d.left < 0 {
		return nil, errors.New("its directories lie over each other: the file is damaged")
	}
	if offset < d.blockAt || offset+n > d.blockAt+int64(len(d.block)) {
		d.blockAt, d.block = offset, make([]byte, min(max(n, blockBytes), d.size-offset))
		if _, err := d.r.ReadAt(d.block, offset); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	return d.block[offset-d.blockAt:][:n], nil
}

// number is the count that a classic file has in small bytes and a BigTIFF in 8.
func (d *directories) number(b []byte) int64 {
	switch len(b) {
	case 2:
		return int64(d.order.Uint16(b))
	case 4:
		return int64(d.order.Uint32(b))
	}
	return int64(d.order.Uint64(b)) // negative: beyond any file
}

// readPages reads all directories of the file of size bytes in r, and what the first of
// them has in words.
func readPages(r io.ReaderAt, size int64) (d *directories, pages []page, text string, err error) {
	d = &directories{r: r, size: size, order: binary.LittleEndian, left: size}
	head := make([]byte, 16)
	if n, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) || n < 8 {
		return nil, nil, "", fmt.Errorf("byte %d: %w", n, io.ErrUnexpectedEOF)
	}
	if head[0] == 'M' {
		d.order = binary.BigEndian
	}
	d.big = d.order.Uint16(head[2:]) == 43
	next := d.number(head[4:8])
	if d.big {
		next = d.number(head[8:16])
	}
	for next != 0 {
		if len(pages) == maxPages {
			return nil, nil, "", fmt.Errorf("more than %d pages, or directories in a circle: the file is damaged", maxPages)
		}
		var t tags
		var p page
		if t, next, err = d.directory(next); err == nil {
			p, err = d.page(t)
		}
		if e := t[tagDescription]; err == nil && len(pages) == 0 && e.kind == 2 && e.count <= maxDescription {
			var b []byte
			b, err = d.content(e, 1)
			text = string(bytes.TrimRight(b, "\x00"))
		}
		if err != nil {
			return nil, nil, "", fmt.Errorf("page %d: %w", len(pages), err)
		}
		pages = append(pages, p)
	}
	if len(pages) == 0 {
		return nil, nil, "", errors.New("byte 4: no directory: the file is damaged")
	}
	return d, pages, text, nil
}

// directory reads that at byte at, and where the next one is.
func (d *directories) directory(at int64) (t tags, next int64, err error) {
	counter, size, word := int64(2), int64(12), int64(4)
	if d.big {
		counter, size, word = 8, 20, 8
	}
	b, err := d.at(at, counter)
	if err != nil {
		return nil, 0, err
	}
	n := d.number(b)
	if n < 0 || n > d.size/size {
		return nil, 0, fmt.Errorf("byte %d: a directory of %d entries: the file is damaged", at, n)
	}
	if b, err = d.at(at+counter, n*size+word); err != nil {
		return nil, 0, err
	}
	t = tags{}
	next = d.number(b[n*size:])
	for i := range n {
		e := b[i*size:][:size]
		switch tag := d.order.Uint16(e); tag {
		case tagSubfile, tagWidth, tagHeight, tagBits, tagCompression, tagPhotometric, tagFillOrder, tagPlanar, tagDescription, tagStrips, tagSamples, tagRows,
			tagStripBytes, tagPredictor, tagTileWidth, tagTileHeight, tagTiles, tagTileBytes, tagFormat, tagDepth:
			t[tag] = entry{d.order.Uint16(e[2:]), d.number(e[4 : 4+word]), bytes.Clone(e[4+word:])}
		}
	}
	return t, next, nil
}

// content is what an entry has, of width bytes a value.
func (d *directories) content(e entry, width int64) ([]byte, error) {
	if e.count < 0 || e.count > d.size/width {
		return nil, fmt.Errorf("%d values in a file of %d bytes: it is damaged", e.count, d.size)
	}
	if n := e.count * width; n > int64(len(e.raw)) {
		return d.at(d.number(e.raw), n)
	}
	return e.raw[:e.count*width], nil
}

// widths of the types of whole numbers, by their number in a file.
var widths = map[uint16]int64{1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}

// numbers are the whole numbers of an entry.
func (d *directories) numbers(e entry) ([]int64, error) {
	width := widths[e.kind]
	if width == 0 {
		return nil, fmt.Errorf("a number of type %d: the file is damaged", e.kind)
	}
	b, err := d.content(e, width)
	if err != nil {
		return nil, err
	}
	out := make([]int64, e.count)
	for i := range out {
		if width == 1 {
			out[i] = int64(b[i])
		} else {
			out[i] = d.number(b[int64(i)*width:][:width])
		}
	}
	return out, nil
}

// value is the number of a tag, the same for all samples of a pixel; otherwise where
// there is none.
func (d *directories) value(t tags, tag uint16, otherwise int64) (int64, error) {
	e, ok := t[tag]
	if !ok {
		return otherwise, nil
	}
	v, err := d.numbers(e)
	if err != nil || len(v) == 0 {
		return 0, errors.Join(fmt.Errorf("tag %d has no number", tag), err)
	}
	if slices.Max(v) != slices.Min(v) {
		return 0, fmt.Errorf("tag %d has several numbers: channels of one type are read", tag)
	}
	return v[0], nil
}

// page reads what t says of a picture.
func (d *directories) page(t tags) (p page, err error) {
	if p.facts, err = d.facts(t); err != nil {
		return p, err
	}
	at, size := t[tagStrips], t[tagStripBytes]
	if tiles, ok := t[tagTiles]; ok {
		at, size = tiles, t[tagTileBytes]
	}
	if at.count == 0 || size.count == 0 {
		return p, fmt.Errorf("tag %d or %d is missing: it is not said where the values are", tagStrips, tagStripBytes)
	}
	if p.offset, err = d.numbers(at); err == nil {
		p.bytes, err = d.numbers(size)
	}
	if err == nil && len(p.offset) != len(p.bytes) {
		err = fmt.Errorf("%d strips or tiles with %d sizes: the file is damaged", len(p.offset), len(p.bytes))
	}
	return p, err
}

// readerAt opens f where any byte of it can be read. A file that cannot is read whole.
func readerAt(f voxel.File) (r io.ReaderAt, done func() error, err error) {
	opened, err := f.Open()
	if err != nil {
		return nil, nil, err
	}
	if r, ok := opened.(io.ReaderAt); ok {
		return r, opened.Close, nil
	}
	b, err := io.ReadAll(io.LimitReader(opened, f.Size))
	if err := errors.Join(err, opened.Close()); err != nil {
		return nil, nil, err
	}
	return bytes.NewReader(b), func() error { return nil }, nil
}

// attribute is the number that follows name, such as `SizeC="`; 0: none.
func attribute(text, name string) (n int64) {
	_, rest, ok := strings.Cut(text, name)
	for i := 0; ok && i < len(rest) && i < 9 && rest[i] >= '0' && rest[i] <= '9'; i++ {
		n = 10*n + int64(rest[i]-'0')
	}
	return n
}
