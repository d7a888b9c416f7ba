package report

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"github.com/gounet/gounet/core/volume"
)

const (
	side       = 560 // pixels of the longest side of a picture
	fillAlpha  = 120 // of 255: the scan stays visible below a prediction
	lineRadius = 2.2 // pixels; an outline is drawn inside the label
)

// plane is a slice of a grid as it is shown.
type plane struct {
	view
	grid  volume.Grid
	index int // of the slice, along the normal
	w, h  int // pixels
}

// newPlane is the slice at index along v's normal. perPixel is in mm.
func newPlane(g volume.Grid, v view, index int, perPixel float64) plane {
	pixels := func(axis int) int {
		return max(1, int(math.Round(float64(g.Shape[axis])*g.Spacing[axis]/perPixel)))
	}
	return plane{view: v, grid: g, index: index, w: pixels(v.col), h: pixels(v.row)}
}

// sample is where a row or column of pixels lies between two voxels of an axis:
// the value is (1−t)·[lo] + t·[hi].
type sample struct {
	lo, hi int
	t      float64
}

// samples places n pixels over the voxels of an axis; the centre of a pixel
// counts, and voxels at the border reach to its edge.
func samples(n, voxels int, flip bool) []sample {
	s := make([]sample, n)
	for i := range s {
		x := (float64(i)+0.5)*float64(voxels)/float64(n) - 0.5
		if flip {
			x = float64(voxels-1) - x
		}
		x = min(max(x, 0), float64(voxels-1))
		lo := int(x)
		s[i] = sample{lo: lo, hi: min(lo+1, voxels-1), t: x - float64(lo)}
	}
	return s
}

// eachPixel calls f with the four voxels around each pixel and their weights.
func (p plane) eachPixel(f func(x, y int, voxel [4]int, weight [4]float64)) {
	stride := [3]int{p.grid.Shape[1] * p.grid.Shape[2], p.grid.Shape[2], 1}
	rows := samples(p.h, p.grid.Shape[p.row], p.flipR)
	cols := samples(p.w, p.grid.Shape[p.col], p.flipC)
	base := p.index * stride[p.normal]
	for y, r := range rows {
		lo, hi := base+r.lo*stride[p.row], base+r.hi*stride[p.row]
		for x, c := range cols {
			left, right := c.lo*stride[p.col], c.hi*stride[p.col]
			f(x, y, [4]int{lo + left, lo + right, hi + left, hi + right},
				[4]float64{(1 - r.t) * (1 - c.t), (1 - r.t) * c.t, r.t * (1 - c.t), r.t * c.t})
		}
	}
}

// grey is the first channel of im, black at lo and white at hi, linear between voxels.
func (p plane) grey(im *volume.Image, lo, hi float64) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, p.w, p.h))
	scale := 255 / (hi - lo)
	p.eachPixel(func(x, y int, voxel [4]int, weight [4]float64) {
		v := 0.0
		for i := range voxel {
			if weight[i] > 0 { // a NaN stays in its own voxel
				v += weight[i] * float64(im.Data[voxel[i]*im.C])
			}
		}
		if g := (v - lo) * scale; g > 0 { // NaN is black
			out.Pix[y*out.Stride+x] = uint8(min(g+0.5, 255))
		}
	})
	return out
}

// labels is the label at each pixel: that with the most weight of the four voxels
// around it, so that edges are smooth and the centre of a voxel keeps its label.
func (p plane) labels(l *volume.Labels) []uint8 {
	out := make([]uint8, p.w*p.h)
	p.eachPixel(func(x, y int, voxel [4]int, weight [4]float64) {
		if v := heaviest(l.Data, voxel, weight); v != volume.Outside {
			out[y*p.w+x] = v
		}
	})
	return out
}

// heaviest is the label whose voxels have the largest sum of weights; of equal
// ones, the first.
func heaviest(labels []uint8, voxel [4]int, weight [4]float64) uint8 {
	best, most := labels[voxel[0]], 0.0
	if best == labels[voxel[1]] && best == labels[voxel[2]] && best == labels[voxel[3]] {
		return best
	}
	for _, v := range voxel {
		sum := 0.0
		for j, u := range voxel {
			if labels[u] == labels[v] {
				sum += weight[j]
			}
		}
		if sum > most {
			best, most = labels[v], sum
		}
	}
	return best
}

// fill paints labels half transparent.
func (p plane) fill(labels []uint8, l *legend) *image.Paletted {
	out := image.NewPaletted(image.Rect(0, 0, p.w, p.h), l.palette(func(c color.NRGBA) color.NRGBA {
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
	out := image.NewPaletted(image.Rect(0, 0, p.w, p.h), l.palette(lighter))
	index := l.indices()
	near := disc(lineRadius)
	for y := range p.h {
		for x := range p.w {
			v := labels[y*p.w+x]
			if index[v] == 0 {
				continue
			}
			for _, d := range near {
				nx, ny := x+d[0], y+d[1]
				if nx >= 0 && ny >= 0 && nx < p.w && ny < p.h && labels[ny*p.w+nx] != v {
					out.Pix[y*p.w+x] = index[v]
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
	return fmt.Sprintf("slice %d of %d", p.index+1, p.grid.Shape[p.normal])
}
