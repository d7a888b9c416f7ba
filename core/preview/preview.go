// Package preview draws a segmented scan for a first look: the three planes through
// the structures and their surfaces, in one picture, without a GPU. Planes are in
// radiological convention: the patient's right is at the left of the picture.
package preview

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"

	"github.com/gounet/gounet/core/mesh"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/atomicfile"
)

// Options say how a preview looks. The zero value is a good start.
type Options struct {
	Side   int                   // pixels of each of the four pictures; 0 is 480
	Window [2]float64            // values shown black and white; equal: the 0.5 and 99.5 percentiles
	Colors map[uint8]color.NRGBA // of labels; others have those of Hue in the order of the labels that occur
	Camera Camera                // zero is DefaultCamera
	Parts  map[uint8]*mesh.Mesh  // surfaces that are there already, as of mesh.FromAll; nil: they are made
}

// background is near-black, so that black tissue has an edge.
var background = color.RGBA{0x14, 0x16, 0x1a, 255}

const (
	defaultSide = 480
	maxSide     = 4096
	fillAlpha   = 120 // of 255: the scan stays visible below a label
	gap         = 4   // pixels between the pictures
)

// Write writes the preview to path as PNG. The file appears whole or not at all.
func Write(path string, im *volume.Image, l *volume.Labels, o Options) error {
	m, err := Draw(im, l, o)
	if err == nil {
		err = atomicfile.Write(path, func(w io.Writer) error { return png.Encode(w, m) })
	}
	if err != nil {
		return fmt.Errorf("preview: %s: %w", path, err)
	}
	return nil
}

// Draw draws the first channel of im with the labels l above it: axial and coronal
// plane, below them sagittal plane and surfaces. Of a 2-D image there is its one
// plane.
func Draw(im *volume.Image, l *volume.Labels, o Options) (*image.RGBA, error) {
	if err := check(im, l, &o); err != nil {
		return nil, err
	}
	colours := o.colours(l)
	lo, hi := o.Window[0], o.Window[1]
	if lo == hi {
		lo, hi = Window(im)
	}
	at, ok := Centre(l)
	if !ok {
		at = [3]int{l.Shape[0] / 2, l.Shape[1] / 2, l.Shape[2] / 2}
	}
	planes := Planes(im.Grid, at, o.Side)
	var pictures []*image.RGBA
	for _, p := range planes {
		pictures = append(pictures, p.draw(im, l, colours, lo, hi, o.Side))
	}
	if len(planes) > 1 {
		parts, err := o.parts(l, colours)
		if err != nil {
			return nil, err
		}
		pictures = append(pictures, Surfaces(parts, o.Camera, o.Side))
	}
	return compose(pictures, o.Side), nil
}

func check(im *volume.Image, l *volume.Labels, o *Options) error {
	if im.C < 1 || im.Voxels() < 1 || len(im.Data) != im.Voxels()*im.C {
		return fmt.Errorf("%d values for a grid of %v with %d channels", len(im.Data), im.Shape, im.C)
	}
	if l.Shape != im.Shape || len(l.Data) != l.Voxels() {
		return fmt.Errorf("the labels have shape %v, the scan %v (D H W): all must be on the scan's grid", l.Shape, im.Shape)
	}
	for i, n := range im.Spacing {
		if !(n > 0) || math.IsInf(n, 0) {
			return fmt.Errorf("spacing %g mm of axis %d, wanted above 0", n, i)
		}
	}
	if o.Side == 0 {
		o.Side = defaultSide
	}
	if o.Side < 16 || o.Side > maxSide {
		return fmt.Errorf("%d pixels, wanted 16 to %d", o.Side, maxSide)
	}
	if o.Camera == (Camera{}) {
		o.Camera = DefaultCamera()
	}
	return nil
}

// colours are those of the labels that occur; the rest is clear.
func (o Options) colours(l *volume.Labels) (c [256]color.NRGBA) {
	var seen [256]bool
	for _, v := range l.Data {
		seen[v] = true
	}
	n := 0
	for v := 1; v <= volume.MaxLabel; v++ {
		if !seen[v] {
			continue
		}
		c[v] = Hue(n)
		n++
		if own, ok := o.Colors[uint8(v)]; ok && own.A > 0 {
			c[v] = own
		}
	}
	return c
}

// parts are the surfaces of the labels that have a colour.
func (o Options) parts(l *volume.Labels, colours [256]color.NRGBA) (parts []mesh.Part, err error) {
	surfaces := o.Parts
	if surfaces == nil {
		if surfaces, err = mesh.FromAll(l, mesh.DefaultSmoothing()); err != nil {
			return nil, err
		}
	}
	for v, c := range colours {
		if m := surfaces[uint8(v)]; c.A > 0 && m != nil {
			parts = append(parts, mesh.Part{Color: c, Mesh: m})
		}
	}
	return parts, nil
}

// draw is the plane in the middle of a square, with the patient's sides at its edges.
func (p Plane) draw(im *volume.Image, l *volume.Labels, colours [256]color.NRGBA, lo, hi float64, side int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, side, side))
	fill(out, background)
	grey, labels := p.Grey(im, lo, hi), p.Labels(l)
	x0, y0 := (side-p.W)/2, (side-p.H)/2
	for y := range p.H {
		for x := range p.W {
			g := grey.GrayAt(x, y).Y
			c := colours[labels[y*p.W+x]]
			mix := func(v uint8) uint8 {
				if c.A == 0 {
					return g
				}
				return uint8((int(v)*fillAlpha + int(g)*(255-fillAlpha)) / 255)
			}
			out.SetRGBA(x0+x, y0+y, color.RGBA{mix(c.R), mix(c.G), mix(c.B), 255})
		}
	}
	const margin = 6
	middle := side / 2
	for i, at := range [4]image.Point{{margin, middle - 7}, {side - margin - 10, middle - 7}, {middle - 5, margin}, {middle - 5, side - margin - 14}} {
		letter(out, p.Edges[i], at)
	}
	return out
}

// letter draws a side of the patient, twice as large as its table, on a dark ground.
func letter(m *image.RGBA, name string, at image.Point) {
	glyph, ok := letters[name]
	if !ok {
		return
	}
	for y := -1; y < 15; y++ {
		for x := -1; x < 11; x++ {
			c := background
			if x >= 0 && y >= 0 && x < 10 && y < 14 && glyph[y/2][x/2] == '#' {
				c = color.RGBA{0xff, 0xff, 0xff, 255}
			}
			if p := at.Add(image.Pt(x, y)); p.In(m.Rect) {
				m.SetRGBA(p.X, p.Y, c)
			}
		}
	}
}

func fill(m *image.RGBA, c color.RGBA) {
	for i := 0; i < len(m.Pix); i += 4 {
		m.Pix[i], m.Pix[i+1], m.Pix[i+2], m.Pix[i+3] = c.R, c.G, c.B, c.A
	}
}

// compose puts pictures of one size in rows of two.
func compose(pictures []*image.RGBA, side int) *image.RGBA {
	columns := min(len(pictures), 2)
	rows := (len(pictures) + 1) / 2
	out := image.NewRGBA(image.Rect(0, 0, columns*side+(columns-1)*gap, rows*side+(rows-1)*gap))
	fill(out, color.RGBA{0x30, 0x33, 0x38, 255})
	for i, p := range pictures {
		x, y := i%2*(side+gap), i/2*(side+gap)
		for row := range side {
			copy(out.Pix[out.PixOffset(x, y+row):], p.Pix[p.PixOffset(0, row):p.PixOffset(0, row)+4*side])
		}
	}
	return out
}
