package report

import (
	"fmt"
	"image"
	"image/color"

	"github.com/gounet/gounet/core/preview"
)

const (
	side       = 560 // pixels of the longest side of a picture
	fillAlpha  = 120 // of 255: the scan stays visible below a prediction
	lineRadius = 2.2 // pixels; an outline is drawn inside the label
)

// plane is a slice of a grid as it is shown.
type plane struct{ preview.Plane }

// fill paints labels half transparent.
func (p plane) fill(labels []uint8, l *legend) *image.Paletted {
	out := image.NewPaletted(image.Rect(0, 0, p.W, p.H), l.palette(func(c color.NRGBA) color.NRGBA {
		c.A = fillAlpha
		return c
	}))
	index := l.indices()
	for i, v := range labels {
		out.Pix[i] = index[v]
	}
	return out
}

// outline paints the pixels of labels that are near another label, in a lighter
// colour than the fill. The border of the picture is no edge.
func (p plane) outline(labels []uint8, l *legend) *image.Paletted {
	out := image.NewPaletted(image.Rect(0, 0, p.W, p.H), l.palette(lighter))
	index := l.indices()
	near := disc(lineRadius)
	for y := range p.H {
		for x := range p.W {
			v := labels[y*p.W+x]
			if index[v] == 0 {
				continue
			}
			for _, d := range near {
				nx, ny := x+d[0], y+d[1]
				if nx >= 0 && ny >= 0 && nx < p.W && ny < p.H && labels[ny*p.W+nx] != v {
					out.Pix[y*p.W+x] = index[v]
					break
				}
			}
		}
	}
	return out
}

// disc are the steps to all pixels within a radius.
func disc(radius float64) (steps [][2]int) {
	n := int(radius)
	for dy := -n; dy <= n; dy++ {
		for dx := -n; dx <= n; dx++ {
			if d := float64(dx*dx + dy*dy); d > 0 && d <= radius*radius {
				steps = append(steps, [2]int{dx, dy})
			}
		}
	}
	return steps
}

// lighter mixes c with white: outlines stand out of the fill and of the scan.
func lighter(c color.NRGBA) color.NRGBA {
	mix := func(v uint8) uint8 { return uint8((int(v)*55 + 255*45) / 100) }
	return color.NRGBA{mix(c.R), mix(c.G), mix(c.B), 255}
}

// palette has a transparent colour, then one an entry of l.
func (l *legend) palette(of func(color.NRGBA) color.NRGBA) color.Palette {
	p := color.Palette{color.NRGBA{}}
	for _, e := range l.entries {
		p = append(p, of(e.colour))
	}
	return p
}

// indices maps a label to its place in the palette, 0 for what has no entry.
func (l *legend) indices() (index [256]uint8) {
	for i, e := range l.entries {
		index[e.Value] = uint8(i + 1)
	}
	return index
}

// where describes the place of the slice, counted from 1.
func (p plane) where() string {
	return fmt.Sprintf("slice %d of %d", p.Index+1, p.Grid.Shape[p.Normal])
}
