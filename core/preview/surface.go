package preview

import (
	"image"
	"image/color"
	"math"

	"github.com/gounet/gounet/core/mesh"
)

// Camera is where surfaces are looked at from: turned around the line from feet to
// head, then up. At 0 the patient faces the viewer.
type Camera struct{ Azimuth, Elevation float64 } // degrees; towards the patient's left, towards the head

// DefaultCamera shows three sides.
func DefaultCamera() Camera { return Camera{Azimuth: 30, Elevation: 20} }

// axes are the directions of the picture in RAS+: to the right, up, and to the viewer.
func (c Camera) axes() (right, up, viewer [3]float64) {
	sa, ca := math.Sincos(c.Azimuth * math.Pi / 180)
	se, ce := math.Sincos(c.Elevation * math.Pi / 180)
	viewer = [3]float64{-sa * ce, ca * ce, se} // at 0, 0 anterior
	right = [3]float64{-ca, -sa, 0}            // at 0, 0 the patient's left
	up = [3]float64{sa * se, -ca * se, ce}
	return right, up, viewer
}

// oversampling is the pixels drawn along each side of one that is shown.
const oversampling = 2

// Surfaces draws parts in a square of side pixels, in parallel projection, nearest
// first by a depth buffer, lit from the viewer's upper left. They fill the square.
func Surfaces(parts []mesh.Part, c Camera, side int) *image.RGBA {
	r := newRenderer(parts, c, side*oversampling)
	for _, p := range parts {
		if len(p.Triangles) > 0 {
			r.draw(p)
		}
	}
	return r.shrink(side)
}

// renderer is a picture with the depth of each pixel.
type renderer struct {
	side              int
	right, up, viewer [3]float64
	centre            [3]float64 // of what is seen, in right, up, viewer
	scale             float64    // pixels per mm
	depth             []float32  // larger is nearer
	pix               []color.RGBA
}

func newRenderer(parts []mesh.Part, c Camera, side int) *renderer {
	r := &renderer{side: side, depth: make([]float32, side*side), pix: make([]color.RGBA, side*side)}
	r.right, r.up, r.viewer = c.axes()
	for i := range r.depth {
		r.depth[i] = float32(math.Inf(-1))
		r.pix[i] = background
	}
	lo, hi := [3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}, [3]float64{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	for _, p := range parts {
		for _, v := range p.Vertices {
			for a, x := range r.turned(v) {
				lo[a], hi[a] = min(lo[a], x), max(hi[a], x)
			}
		}
	}
	const margin = 0.92
	if size := max(hi[0]-lo[0], hi[1]-lo[1]); size > 0 && !math.IsInf(size, 0) {
		r.scale = margin * float64(side) / size
	}
	for a := range 3 {
		r.centre[a] = (lo[a] + hi[a]) / 2
	}
	return r
}

// turned is a place or direction in right, up, viewer.
func (r *renderer) turned(v [3]float32) (o [3]float64) {
	for a, axis := range [3][3]float64{r.right, r.up, r.viewer} {
		o[a] = float64(v[0])*axis[0] + float64(v[1])*axis[1] + float64(v[2])*axis[2]
	}
	return o
}

// corner is a vertex on the picture.
type corner struct{ x, y, z, light float64 }

func (r *renderer) draw(p mesh.Part) {
	corners := make([]corner, len(p.Vertices))
	normals := p.Normals()
	half := float64(r.side) / 2
	for i, v := range p.Vertices {
		t := r.turned(v)
		n := r.turned(normals[i])
		// Lambert with the light at (−1, 1, 2), and a little from everywhere.
		light := (-n[0] + n[1] + 2*n[2]) / math.Sqrt(6)
		corners[i] = corner{
			x: half + (t[0]-r.centre[0])*r.scale, y: half - (t[1]-r.centre[1])*r.scale, z: t[2] - r.centre[2],
			light: 0.3 + 0.7*max(light, 0),
		}
	}
	for _, t := range p.Triangles {
		r.triangle(corners[t[0]], corners[t[1]], corners[t[2]], p.Color)
	}
}

// triangle fills the pixels whose centres are inside. Those seen from behind are
// hidden by the rest of their closed surface.
func (r *renderer) triangle(a, b, c corner, colour color.NRGBA) {
	area := (b.x-a.x)*(c.y-a.y) - (b.y-a.y)*(c.x-a.x)
	if !(area < 0) { // counterclockwise where y runs up
		return
	}
	clip := func(v float64) int { return int(min(max(v, 0), float64(r.side-1))) }
	x0, x1 := clip(min(a.x, b.x, c.x)), clip(max(a.x, b.x, c.x))
	y0, y1 := clip(min(a.y, b.y, c.y)), clip(max(a.y, b.y, c.y))
	for y := y0; y <= y1; y++ {
		for x := x0; x <= x1; x++ {
			px, py := float64(x)+0.5, float64(y)+0.5
			u := ((b.x-px)*(c.y-py) - (b.y-py)*(c.x-px)) / area
			v := ((c.x-px)*(a.y-py) - (c.y-py)*(a.x-px)) / area
			w := 1 - u - v
			if u < 0 || v < 0 || w < 0 {
				continue
			}
			z := float32(u*a.z + v*b.z + w*c.z)
			if at := y*r.side + x; z > r.depth[at] {
				light := u*a.light + v*b.light + w*c.light
				shade := func(v uint8) uint8 { return uint8(min(float64(v)*light, 255)) }
				r.depth[at], r.pix[at] = z, color.RGBA{shade(colour.R), shade(colour.G), shade(colour.B), 255}
			}
		}
	}
}

// shrink averages the pixels of each that is shown.
func (r *renderer) shrink(side int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			var sum [3]int
			for dy := range oversampling {
				for dx := range oversampling {
					p := r.pix[(y*oversampling+dy)*r.side+x*oversampling+dx]
					sum[0], sum[1], sum[2] = sum[0]+int(p.R), sum[1]+int(p.G), sum[2]+int(p.B)
				}
			}
			const n = oversampling * oversampling
			out.SetRGBA(x, y, color.RGBA{uint8(sum[0] / n), uint8(sum[1] / n), uint8(sum[2] / n), 255})
		}
	}
	return out
}
