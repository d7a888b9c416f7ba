package preview

import (
	"image"
	"math"
	"slices"

	"github.com/gounet/gounet/core/volume"
)

// Plane is a slice of a grid as it is shown: W × H pixels.
type Plane struct {
	View
	Grid  volume.Grid
	Index int // of the slice, along the normal
	W, H  int
}

// Planes are the three planes through a voxel (D H W), without those that are a line:
// of a 2-D image there is one. All have one scale; the longest side has side pixels.
func Planes(g volume.Grid, at [3]int, side int) []Plane {
	all := Views(g)
	shown := slices.DeleteFunc(slices.Clone(all), func(v View) bool { return g.Shape[v.Row] == 1 || g.Shape[v.Col] == 1 })
	if len(shown) == 0 {
		shown = all[:1]
	}
	longest := 0.0
	for _, v := range shown {
		for _, a := range [2]int{v.Row, v.Col} {
			longest = max(longest, float64(g.Shape[a])*g.Spacing[a])
		}
	}
	planes := make([]Plane, len(shown))
	for i, v := range shown {
		planes[i] = NewPlane(g, v, at[v.Normal], longest/float64(side))
	}
	return planes
}

// NewPlane is the slice at index along v's normal. perPixel is in mm.
func NewPlane(g volume.Grid, v View, index int, perPixel float64) Plane {
	pixels := func(axis int) int {
		return max(1, int(math.Round(float64(g.Shape[axis])*g.Spacing[axis]/perPixel)))
	}
	return Plane{View: v, Grid: g, Index: index, W: pixels(v.Col), H: pixels(v.Row)}
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
func (p Plane) eachPixel(f func(x, y int, voxel [4]int, weight [4]float64)) {
	stride := [3]int{p.Grid.Shape[1] * p.Grid.Shape[2], p.Grid.Shape[2], 1}
	rows := samples(p.H, p.Grid.Shape[p.Row], p.FlipR)
	cols := samples(p.W, p.Grid.Shape[p.Col], p.FlipC)
	base := p.Index * stride[p.Normal]
	for y, r := range rows {
		lo, hi := base+r.lo*stride[p.Row], base+r.hi*stride[p.Row]
		for x, c := range cols {
			left, right := c.lo*stride[p.Col], c.hi*stride[p.Col]
			f(x, y, [4]int{lo + left, lo + right, hi + left, hi + right},
				[4]float64{(1 - r.t) * (1 - c.t), (1 - r.t) * c.t, r.t * (1 - c.t), r.t * c.t})
		}
	}
}

// Grey is the first channel of im, black at lo and white at hi, linear between voxels.
func (p Plane) Grey(im *volume.Image, lo, hi float64) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, p.W, p.H))
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

// Labels is the label at each pixel, row by row: that with the most weight of the
// four voxels around it, so that edges are smooth and the centre of a voxel keeps its
// label.
func (p Plane) Labels(l *volume.Labels) []uint8 {
	out := make([]uint8, p.W*p.H)
	p.eachPixel(func(x, y int, voxel [4]int, weight [4]float64) {
		if v := heaviest(l.Data, voxel, weight); v != volume.Outside {
			out[y*p.W+x] = v
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

// Centre is the voxel (D H W) that planes are laid through: of the slice along D that
// has the most foreground, the one nearest to the centre of that foreground; false
// without foreground.
func Centre(l *volume.Labels) (at [3]int, ok bool) {
	h, w := l.Shape[1], l.Shape[2]
	foreground := func(v uint8) bool { return v != 0 && v != volume.Outside }
	most := 0
	for d := range l.Shape[0] {
		n := 0
		for _, v := range l.Data[d*h*w : (d+1)*h*w] {
			if foreground(v) {
				n++
			}
		}
		if n > most {
			most, at[0] = n, d
		}
	}
	if most == 0 {
		return at, false
	}
	slice := l.Data[at[0]*h*w : (at[0]+1)*h*w]
	var y, x float64
	for i, v := range slice {
		if foreground(v) {
			y += float64(i/w) / float64(most)
			x += float64(i%w) / float64(most)
		}
	}
	nearest := math.Inf(1)
	for i, v := range slice {
		dy, dx := (float64(i/w)-y)*l.Spacing[1], (float64(i%w)-x)*l.Spacing[2]
		if d := dy*dy + dx*dx; foreground(v) && d < nearest {
			nearest, at[1], at[2] = d, i/w, i%w
		}
	}
	return at, true
}

// maxSamples bounds what is sorted for percentiles.
const maxSamples = 1 << 18

// Window is the range of values shown from black to white: between the 0.5 and the
// 99.5 percentile of the first channel, of evenly spread voxels where there are many.
func Window(im *volume.Image) (lo, hi float64) {
	n := im.Voxels()
	step := n/maxSamples + 1
	v := make([]float32, 0, n/step+1)
	for i := 0; i < n; i += step {
		if x := float64(im.Data[i*im.C]); !math.IsNaN(x) && !math.IsInf(x, 0) {
			v = append(v, float32(x))
		}
	}
	if len(v) == 0 {
		return 0, 1
	}
	slices.Sort(v)
	last := float64(len(v) - 1)
	lo, hi = float64(v[int(0.005*last)]), float64(v[int(math.Ceil(0.995*last))])
	if !(hi > lo) {
		lo, hi = float64(v[0]), float64(v[len(v)-1])
	}
	if !(hi > lo) {
		hi = lo + 1
	}
	return lo, hi
}
