package raster

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/zlib"
	"golang.org/x/image/tiff/lzw"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

// stack is a TIFF: a picture, or a volume whose slices are the pages, one value a pixel,
// as nnU-Net's readers have them by tifffile: the values are those of the file, whatever
// colours it gives them.
type stack struct {
	facts // of every page
	file  voxel.File
	order binary.ByteOrder
	pages []page
}

// compressions that are read, with the most that each can shrink, see voxel.Part for
// that of deflate. A code of LZW has 12 bits and stands for at most 3838 bytes; two
// bytes of PackBits stand for 128.
var compressions = map[int64]struct {
	ratio int64
	open  func(io.Reader) (io.Reader, error)
}{
	1:     {1, func(r io.Reader) (io.Reader, error) { return r, nil }},
	5:     {2560, func(r io.Reader) (io.Reader, error) { return lzw.NewReader(r, lzw.MSB, 8), nil }},
	8:     {1032, inflate},
	32946: {1032, inflate},
	32773: {64, func(r io.Reader) (io.Reader, error) { return &packBits{r: bufio.NewReader(r)}, nil }},
}

func inflate(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }

// stackTypes are the types of values by their TIFF sample format and bits.
var stackTypes = map[[2]int64]voxel.Type{
	{1, 1}: voxel.Uint8, {1, 2}: voxel.Uint8, {1, 4}: voxel.Uint8, // unpacked
	{1, 8}: voxel.Uint8, {1, 16}: voxel.Uint16, {1, 32}: voxel.Uint32, {1, 64}: voxel.Uint64,
	{2, 8}: voxel.Int8, {2, 16}: voxel.Int16, {2, 32}: voxel.Int32, {2, 64}: voxel.Int64,
	{3, 32}: voxel.Float32, {3, 64}: voxel.Float64,
}

// openStack reads the directories of a TIFF.
func openStack(f voxel.File) (s *stack, err error) {
	r, done, err := readerAt(f)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	d, pages, text, err := readPages(r, f.Size)
	if err != nil {
		return nil, err
	}
	s = &stack{facts: pages[0].facts, file: f, order: d.order, pages: pages}
	if err := s.virtual(text); err != nil {
		return nil, err
	}
	if why := s.refused(); why != "" {
		return nil, errors.New(why)
	}
	if len(s.pages) > 1 && s.samples != 1 {
		return nil, fmt.Errorf("%d pages of %d values a pixel: a stack has one, give each channel a file of its own, as CASE_0000.tif", len(s.pages), s.samples)
	}
	for i, p := range s.pages {
		if p.facts != s.facts {
			return nil, fmt.Errorf("page %d is %s, page 0 %s: a stack has pages of one kind, keep those of the volume", i, p.facts, s.facts)
		}
	}
	return s, s.check()
}

// facts are what all pages of a stack must have alike. A strip is a tile as wide as
// the page.
type facts struct {
	width, height, tileWidth, tileHeight  int64
	bits, format, samples, depth, reduced int64
	compression, predictor                int64
	photometric, planar, fill             int64
}

func (f facts) String() string {
	return fmt.Sprintf("%d × %d pixels of %d × %s, compression %d, predictor %d in pieces of %d × %d",
		f.width, f.height, f.samples, f.typ(), f.compression, f.predictor, f.tileWidth, f.tileHeight)
}

// typ is the type of the values, 0 for those that are not read.
func (f facts) typ() voxel.Type { return stackTypes[[2]int64{f.format, f.bits}] }

// packed is the bytes of a row of a tile as it is stored.
func (f facts) packed() int64 { return (f.tileWidth*f.samples*f.bits + 7) / 8 }

// pixel is the bytes of the values of a pixel, unpacked.
func (f facts) pixel() int64 { return f.samples * int64(f.typ().Bytes()) }

func (d *directories) facts(t tags) (f facts, err error) {
	for _, v := range []struct {
		to        *int64
		tag       uint16
		otherwise int64
	}{
		{&f.width, tagWidth, 0},
		{&f.height, tagHeight, 0},
		{&f.bits, tagBits, 1},
		{&f.format, tagFormat, 1},
		{&f.samples, tagSamples, 1},
		{&f.depth, tagDepth, 1},
		{&f.photometric, tagPhotometric, 1},
		{&f.planar, tagPlanar, 1},
		{&f.fill, tagFillOrder, 1},
		{&f.reduced, tagSubfile, 0},
		{&f.compression, tagCompression, 1},
		{&f.predictor, tagPredictor, 1},
		{&f.tileWidth, tagTileWidth, 0},
		{&f.tileHeight, tagTileHeight, 0},
	} {
		if *v.to, err = d.value(t, v.tag, v.otherwise); err != nil {
			return f, err
		}
	}
	if _, tiled := t[tagTiles]; !tiled {
		f.tileWidth = f.width
		if f.tileHeight, err = d.value(t, tagRows, f.height); err != nil {
			return f, err
		}
		f.tileHeight = min(f.tileHeight, f.height)
	}
	f.reduced &= 1 // other bits say that it is one page of many
	if f.samples == 1 {
		f.planar = 1 // says nothing
	}
	return f, nil
}

// refused says why such pages are not read; "": they are.
func (f facts) refused() string {
	side := func(n int64) bool { return n >= 1 && n <= maxSide }
	switch {
	case !side(f.width) || !side(f.height) || !side(f.tileWidth) || !side(f.tileHeight):
		return fmt.Sprintf("%d × %d pixels in pieces of %d × %d, wanted 1 to %d along each side", f.width, f.height, f.tileWidth, f.tileHeight, maxSide)
	case f.samples != 1 && f.samples != 3 && f.samples != 4:
		return fmt.Sprintf("%d values a pixel, wanted 1, or 3 and 4 of colours: give each channel a file of its own, as CASE_0000.tif", f.samples)
	case f.photometric > 3:
		return fmt.Sprintf("colours of kind %d are not read: convert it to grey, RGB or RGBA", f.photometric)
	case f.planar != 1:
		return "colours in planes apart are not read: write the values of a pixel together"
	case f.depth != 1:
		return "tiles of several slices are not read: write it with a page a slice"
	case f.reduced != 0:
		return "a page is a smaller copy of another: keep those of the volume"
	case f.typ() == 0:
		return fmt.Sprintf("values of %d bits and sample format %d are not read: write 8, 16, 32 or 64 bits, or floats of 32 or 64", f.bits, f.format)
	case f.bits < 8 && (f.fill != 1 || f.samples != 1 || f.predictor != 1):
		return fmt.Sprintf("values of %d bits in another order than usual are not read: write 8 bits", f.bits)
	case compressions[f.compression].ratio == 0:
		return fmt.Sprintf("compression %d is not read: write it without, or with zlib (deflate), LZW or PackBits", f.compression)
	case f.predictor < 1 || f.predictor > 3 || f.predictor == 3 && f.format != 3:
		return fmt.Sprintf("predictor %d is not read of such values", f.predictor)
	}
	return ""
}

// virtual adds the pages of files that have one directory for values of many, which
// follow each other: those of ImageJ above 4 GB, and tifffile's truncated ones. Stacks
// of more axes than three are refused.
func (s *stack) virtual(text string) error {
	n := int64(len(s.pages))
	switch {
	case strings.HasPrefix(text, "ImageJ="):
		if err := oneAxis(attribute(text, "\nchannels="), attribute(text, "\nslices="), attribute(text, "\nframes=")); err != nil {
			return err
		}
		n = max(n, attribute(text, "\nimages="))
	case strings.HasPrefix(text, `{"shape": [`):
		var t struct {
			Shape     []int64
			Truncated bool
		}
		if err := json.Unmarshal([]byte(text), &t); err != nil {
			return nil //nolint:nilerr // a text of somebody's
		}
		long, pages := 0, int64(1)
		for i, side := range t.Shape {
			if side > 1 {
				long++
			}
			if i < len(t.Shape)-2 && side > 0 && side <= maxPages && pages <= maxPages {
				pages *= side
			}
		}
		if long > 3 {
			return fmt.Errorf("an array of shape %v: a stack has three axes, give each channel a file of its own", t.Shape)
		}
		if t.Truncated && s.samples == 1 {
			n = max(n, pages)
		}
	case strings.Contains(text, "<OME"):
		c, z, t := attribute(text, ` SizeC="`), attribute(text, ` SizeZ="`), attribute(text, ` SizeT="`)
		if err := oneAxis(c/max(s.samples, 1), z, t); err != nil {
			return err
		}
		if z > n {
			return fmt.Errorf("an OME stack of %d slices, of which this file has %d: put all in one file", z, n)
		}
	}
	if n == int64(len(s.pages)) {
		return nil
	}
	p := s.pages[0]
	each := s.width * s.height * s.pixel()
	at := p.offset[0]
	for i, b := range p.bytes {
		if p.offset[i] != at {
			return fmt.Errorf("%d slices by one directory whose strips do not follow each other: the file is damaged", n)
		}
		at += b
	}
	if n > maxPages || len(s.pages) != 1 || s.refused() != "" || s.bits < 8 || s.compression != 1 || s.tileWidth != s.width || at-p.offset[0] != each || p.offset[0] > s.file.Size-n*each {
		return fmt.Errorf("%d slices by %d directories, and their values are not there: the file is truncated, fetch it again", n, len(s.pages))
	}
	for i := range n - 1 {
		q := page{facts: p.facts, bytes: p.bytes}
		for _, o := range p.offset {
			q.offset = append(q.offset, o+(i+1)*each)
		}
		s.pages = append(s.pages, q)
	}
	return nil
}

// oneAxis refuses a stack whose pages are counted along several axes.
func oneAxis(channels, slices, frames int64) error {
	if n := max(channels, 1) * max(slices, 1) * max(frames, 1); n > max(channels, slices, frames, 1) {
		return fmt.Errorf("a stack of %d channels, %d slices and %d times: give each channel a file of its own, as CASE_0000.tif", max(channels, 1), max(slices, 1), max(frames, 1))
	}
	return nil
}

// bands is how many rows of tiles a page has, and across how many stand in each.
func (s *stack) bands() (down, across int64) {
	return (s.height + s.tileHeight - 1) / s.tileHeight, (s.width + s.tileWidth - 1) / s.tileWidth
}

// rows are those of the k-th strip or row of tiles; the last strip has fewer.
func (s *stack) rows(k int64) int64 {
	if s.tileWidth == s.width { // also of tiles as wide as the page, which are then read in part
		return min(s.tileHeight, s.height-k*s.tileHeight)
	}
	return s.tileHeight
}

// check holds the pages against the size of the file.
func (s *stack) check() error {
	down, across := s.bands()
	band := s.width * s.tileHeight * s.pixel()
	if most := 64<<20 + 4*s.file.Size; band > most {
		return fmt.Errorf("strips or tiles of %d MiB in a file of %d MiB: write it with smaller ones", band>>20, s.file.Size>>20)
	}
	var sum int64
	for i, p := range s.pages {
		if int64(len(p.offset)) != down*across {
			return fmt.Errorf("page %d has %d strips or tiles, its %d × %d pixels want %d: the file is damaged", i, len(p.offset), s.width, s.height, down*across)
		}
		for k, b := range p.bytes {
			need := s.packed() * s.rows(int64(k)/across)
			if at := p.offset[k]; at < 8 || b < 1 || at > s.file.Size-b {
				return fmt.Errorf("page %d: %d bytes at byte %d of %d: the file is truncated, fetch it again", i, b, at, s.file.Size)
			}
			if most := compressions[s.compression].ratio * b; need > most {
				return fmt.Errorf("page %d: %d bytes hold at most %d, wanted %d: the file is damaged, fetch it again", i, b, most, need)
			}
			if sum += b; sum > s.file.Size {
				return fmt.Errorf("page %d: its values lie over those of others: the file is damaged", i)
			}
		}
	}
	return nil
}

// data are the values as the voxel package reads them: the file of the one part is the
// stream of the slices.
func (s *stack) data(g volume.Grid) (*voxel.Data, error) {
	bytes := s.width * s.height * int64(len(s.pages)) * s.pixel()
	values := voxel.File{Name: s.file.Name, Size: bytes, Open: func() (io.ReadCloser, error) {
		r, done, err := readerAt(s.file)
		if err != nil {
			return nil, err
		}
		return &stream{s: s, r: r, done: done}, nil
	}}
	d := &voxel.Data{
		Of: "raster: " + s.file.Name, Grid: g, Lead: int(s.samples), Trail: 1, Type: s.typ(), Parts: []voxel.Part{{File: values}},
	}
	// What shrank further than scans do must prove its values first, as in voxel.
	const free = 64 << 20
	if values := bytes / int64(s.typ().Bytes()); s.compression == 1 || 4*values <= free+4*s.file.Size {
		return d, nil
	}
	r, err := values.Open()
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, r)
	return d, errors.Join(err, r.Close())
}
