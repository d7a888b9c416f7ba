// Package raster reads pictures as 2-D scans, PNG and TIFF, as nnU-Net's
// NaturalImage2DIO does: one channel for grey, three for colours, four with
// transparency, of 8 or 16 bits; the values are those of the file. A picture is one
// slice; its spacing is 999, 1, 1 mm and its affine zero, since it says nothing of its
// place.
//
// A TIFF of several pages is a volume, as for nnU-Net's Tiff3DIO: a slice a page, whose
// spacing is in a JSON file beside it, see ReadSpacing. Values are whole numbers or
// floats; the entries of a palette, and black and white, are numbers as they stand. The
// reader is of this package, since that of golang.org/x/image knows one page, no floats
// and no BigTIFF; it keeps a strip or a row of tiles in memory.
package raster

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"path/filepath"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
	"github.com/gounet/gounet/internal/atomicfile"
)

// Header is what a picture says of itself.
type Header struct {
	Grid     volume.Grid
	Channels int
	Type     string // of the values
	TIFF     bool
	Pages    int  // of a TIFF
	Paletted bool // the values are colours of a table; of a label map, the entries

	file  voxel.File
	model color.Model
	stack *stack // of a TIFF
}

const (
	maxSide = 1 << 16 // pixels
	// flatSpacing is the thickness of nnU-Net's NaturalImage2DIO.
	flatSpacing = 999
)

// Open reads the size and type of the picture in f.
func Open(f voxel.File) (*Header, error) {
	h, err := open(f)
	if err != nil {
		return nil, fmt.Errorf("raster: %s: %w", f.Name, err)
	}
	return h, nil
}

func open(f voxel.File) (*Header, error) {
	magic := make([]byte, 8)
	if err := read(f, func(r io.Reader) error { _, err := io.ReadFull(r, magic); return err }); err != nil {
		return nil, fmt.Errorf("byte 0: %w", err)
	}
	h := &Header{file: f, TIFF: string(magic) != "\x89PNG\r\n\x1a\n"}
	if h.TIFF {
		s, err := openStack(f)
		if err != nil {
			return nil, err
		}
		h.ofStack(s)
		return h, nil
	}
	var c image.Config
	err := read(f, func(r io.Reader) (err error) {
		c, err = png.DecodeConfig(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxSide || c.Height > maxSide {
		return nil, fmt.Errorf("%d × %d pixels, wanted 1 to %d along each side", c.Width, c.Height, maxSide)
	}
	h.Grid = volume.Grid{Shape: [3]int{1, c.Height, c.Width}, Spacing: [3]float64{flatSpacing, 1, 1}}
	h.model = c.ColorModel
	return h, h.interpret()
}

// ofStack takes the size and type of a stack. A single page has the spacing of a picture.
func (h *Header) ofStack(s *stack) {
	h.stack, h.Pages, h.Channels, h.Type = s, len(s.pages), int(s.samples), s.typ().String()
	h.Grid = volume.Grid{Shape: [3]int{h.Pages, int(s.height), int(s.width)}, Spacing: [3]float64{1, 1, 1}}
	if h.Pages == 1 {
		h.Grid.Spacing[0] = flatSpacing
	}
}

// read opens f for one purpose.
func read(f voxel.File, use func(io.Reader) error) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read from
	return use(bufio.NewReader(r))
}

// interpret finds what the colours are, and whether the file can hold them.
func (h *Header) interpret() error {
	h.Type = "uint8"
	switch h.model {
	case color.GrayModel:
		h.Channels = 1
	case color.Gray16Model:
		h.Channels, h.Type = 1, "uint16"
	case color.RGBAModel, color.YCbCrModel:
		h.Channels = 3
	case color.NRGBAModel:
		h.Channels = 4
	case color.RGBA64Model:
		h.Channels, h.Type = 3, "uint16"
	case color.NRGBA64Model:
		h.Channels, h.Type = 4, "uint16"
	default:
		if _, ok := h.model.(color.Palette); !ok {
			return errors.New("colours of a kind that is not read: convert it to grey, RGB or RGBA")
		}
		h.Channels, h.Paletted = 3, true
	}
	return h.checkSize()
}

// checkSize compares the pixels with what the file can hold.
func (h *Header) checkSize() error {
	pixels := int64(h.Grid.Voxels())
	bytes := pixels * int64(h.Channels)
	if h.Paletted {
		bytes = pixels
	}
	if h.Type == "uint16" {
		bytes *= 2
	}
	if h.Channels == 1 && h.Type == "uint8" {
		bytes = pixels / 8 // black and white may have a bit
	}
	const deflateRatio = 1032 // see package voxel
	if most := deflateRatio * h.file.Size; bytes > most {
		return fmt.Errorf("%d × %d pixels of %d × %s need %d bytes, the file holds at most %d: it is truncated, fetch it again",
			h.Grid.Shape[2], h.Grid.Shape[1], h.Channels, h.Type, bytes, most)
	}
	// The decoder takes the memory of all pixels at once; a file that shrank further than
	// pictures do must prove them.
	const free, ratio = 16 << 20, 16
	if pixels*int64(h.Channels) <= max(free, ratio*h.file.Size) {
		return nil
	}
	return read(h.file, func(r io.Reader) error { return provePNG(r, bytes) })
}

// decode reads the picture. The decoders' panics on damaged files would be bugs of
// theirs; fuzzing found none.
func (h *Header) decode() (m image.Image, err error) {
	err = read(h.file, func(r io.Reader) error {
		m, err = png.Decode(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	if b := m.Bounds(); b.Dx() != h.Grid.Shape[2] || b.Dy() != h.Grid.Shape[1] {
		return nil, fmt.Errorf("%d × %d pixels, the header says %d × %d", b.Dx(), b.Dy(), h.Grid.Shape[2], h.Grid.Shape[1])
	}
	return m, nil
}

// Image reads a picture as float32 [1 H W C], a volume as [D H W 1].
func (h *Header) Image() (*volume.Image, error) {
	if h.stack != nil {
		d, err := h.stack.data(h.Grid)
		if err != nil {
			return nil, fmt.Errorf("raster: %s: %w", h.file.Name, err)
		}
		return d.Image()
	}
	m, err := h.decode()
	if err != nil {
		return nil, fmt.Errorf("raster: %s: %w", h.file.Name, err)
	}
	im := volume.NewImage(h.Grid, h.Channels)
	at := valuesOf(m)
	b, i := m.Bounds(), 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			v := at(x, y)
			for c := range h.Channels {
				im.Data[i] = float32(v[c])
				i++
			}
		}
	}
	return im, nil
}

// valuesOf gives the values of pixels as the file has them.
func valuesOf(m image.Image) func(x, y int) [4]uint16 {
	wide := func(r, g, b, a uint8) [4]uint16 { return [4]uint16{uint16(r), uint16(g), uint16(b), uint16(a)} }
	switch m := m.(type) {
	case *image.Gray:
		return func(x, y int) [4]uint16 { return [4]uint16{uint16(m.GrayAt(x, y).Y)} }
	case *image.Gray16:
		return func(x, y int) [4]uint16 { return [4]uint16{m.Gray16At(x, y).Y} }
	case *image.RGBA:
		return func(x, y int) [4]uint16 { c := m.RGBAAt(x, y); return wide(c.R, c.G, c.B, c.A) }
	case *image.NRGBA:
		return func(x, y int) [4]uint16 { c := m.NRGBAAt(x, y); return wide(c.R, c.G, c.B, c.A) }
	case *image.RGBA64:
		return func(x, y int) [4]uint16 { c := m.RGBA64At(x, y); return [4]uint16{c.R, c.G, c.B, c.A} }
	case *image.NRGBA64:
		return func(x, y int) [4]uint16 { c := m.NRGBA64At(x, y); return [4]uint16{c.R, c.G, c.B, c.A} }
	}
	return func(x, y int) [4]uint16 { // palettes
		c := color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
		return wide(c.R, c.G, c.B, c.A)
	}
}

// Labels reads a label map: grey values, or the entries of a palette, as they are.
func (h *Header) Labels() (*volume.Labels, error) {
	if h.stack != nil {
		d, err := h.stack.data(h.Grid)
		if err != nil {
			return nil, fmt.Errorf("raster: %s: %w", h.file.Name, err)
		}
		return d.Labels()
	}
	l, err := h.labels()
	if err != nil {
		return nil, fmt.Errorf("raster: %s: %w", h.file.Name, err)
	}
	return l, nil
}

func (h *Header) labels() (*volume.Labels, error) {
	if h.Channels != 1 && !h.Paletted {
		return nil, fmt.Errorf("%d channels, a label map has one", h.Channels)
	}
	m, err := h.decode()
	if err != nil {
		return nil, err
	}
	l := volume.NewLabels(h.Grid)
	at := valuesOf(m)
	if p, ok := m.(*image.Paletted); ok {
		at = func(x, y int) [4]uint16 { return [4]uint16{uint16(p.ColorIndexAt(x, y))} }
	}
	b, i := m.Bounds(), 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			v := at(x, y)[0]
			if v > volume.MaxLabel {
				return nil, fmt.Errorf("value %d at pixel (x %d, y %d): labels are whole numbers from 0 to %d", v, x-b.Min.X, y-b.Min.Y, volume.MaxLabel)
			}
			l.Data[i] = uint8(v)
			i++
		}
	}
	return l, nil
}

// WriteLabels writes a label map as nnU-Net does, by the ending of path: of one slice as
// a grey PNG whose values are the labels, or as a TIFF with a page a slice, deflated, and
// a file with the spacing beside it. The TIFF appears whole or not at all, after that.
func WriteLabels(path string, l *volume.Labels) error {
	if IsTIFF(path) {
		return writeStack(path, path[:len(path)-len(filepath.Ext(path))]+".json", l.Grid, l.Data, 1, true)
	}
	return atomicfile.Write(path, func(w io.Writer) error { return EncodeLabels(w, path, l) })
}

// EncodeLabels writes to w what WriteLabels writes to the file name.
func EncodeLabels(w io.Writer, name string, l *volume.Labels) error {
	if voxel.Ending(name) != ".png" {
		return fmt.Errorf("raster: %s: the name of a file to write ends in .png", name)
	}
	if l.Shape[0] != 1 || len(l.Data) != l.Voxels() {
		return fmt.Errorf("raster: %s: labels of shape %v (D H W), a PNG holds one slice: choose another format", name, l.Shape)
	}
	m := &image.Gray{Pix: l.Data, Stride: l.Shape[2], Rect: image.Rect(0, 0, l.Shape[2], l.Shape[1])}
	if err := png.Encode(w, m); err != nil {
		return fmt.Errorf("raster: %s: %w", name, err)
	}
	return nil
}
