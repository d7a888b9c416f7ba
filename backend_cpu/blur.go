package cpu

import (
	"math"

	"github.com/gounet/gounet/core/graph"
)

// planes is x [N D H W C] and y of an op with a parameter for each sample and
// channel at ctl[first + n·C + c]. A unit is a plane of a sample.
type planes struct {
	*scope
	x, y  tensor
	ctl   []float32
	first int
	n, c  int
	size  [3]int
	plane int // elements
}

func (s *scope) planes(ctl int, n graph.Node) *planes {
	t := s.Type(n.In[0]).Shape
	return &planes{
		scope: s, x: s.tensor(n.In[0]), ctl: s.f32(n.In[1]), y: s.tensor(n.Out[0]), first: ctl,
		n: t[0], c: t[4], size: [3]int(t[1:4]), plane: t[2] * t[3] * t[4],
	}
}

// parameter of channel c of sample n.
func (p *planes) parameter(n, c int) float32 { return p.ctl[p.first+n*p.c+c] }

// idle says that all parameters of a sample are 0, or rest.
func (p *planes) idle(n int, rest float32) bool {
	for c := range p.c {
		if a := p.parameter(n, c); a != 0 && a != rest {
			return false
		}
	}
	return true
}

// copyPlane makes a plane of y that of x.
func (p *planes) copyPlane(unit int) {
	at, n := unit*p.plane, p.plane
	if p.x.dtype == graph.F32 {
		copy(p.y.f32[at:][:n], p.x.f32[at:])
	} else {
		copy(p.y.u16[at:][:n], p.x.u16[at:])
	}
}

// blurrer is a Blur.
type blurrer struct {
	*planes
	op graph.Blur
}

// blur makes y.
func (s *scope) blur(op graph.Blur, n graph.Node) []part {
	p := &blurrer{s.planes(op.Ctl, n), op}
	s.pool.reserve(need{worker: 3*p.plane + (2*op.Radius+1)*(p.c+1)})
	return []part{s.parallel(p.n*p.size[0], p.unit)}
}

// unit blurs a plane: it is Σ g[j]·x[i + j] in rows of elements whose taps lie
// a step apart, which is a plane, a row or a voxel.
func (p *blurrer) unit(w *worker, unit int) {
	n, d := unit/p.size[0], unit%p.size[0]
	if p.idle(n, 0) {
		p.copyPlane(unit)
		return
	}
	sum, buf, from := w.scratch[:p.plane], w.scratch[p.plane:][:p.plane], w.scratch[2*p.plane:][:p.plane]
	taps := w.scratch[3*p.plane:]
	r := p.kernels(taps, n)
	clear(sum)
	var plane []float32
	if p.op.Axis > 0 {
		plane = p.isa.read(p.x, unit*p.plane, p.plane, buf)
	}
	for j := -r; j <= r; j++ {
		g := taps[(j+r)*p.c:][:p.c]
		switch p.op.Axis {
		case 0:
			at := n*p.size[0] + reflected(d+j, p.size[0])
			p.addChannels(sum, p.isa.read(p.x, at*p.plane, p.plane, buf), g)
		case 1:
			row := p.size[2] * p.c
			for h := range p.size[1] {
				p.addChannels(sum[h*row:][:row], plane[reflected(h+j, p.size[1])*row:], g)
			}
		default:
			for h := range p.size[1] {
				from := h * p.size[2] * p.c
				p.alongRow(sum[from:][:p.size[2]*p.c], plane[from:], g, j)
			}
		}
	}
	y := p.isa.target(p.y, unit*p.plane, p.plane, from)
	copy(y, sum)
	p.isa.flush(p.y, unit*p.plane, y)
}

// alongRow adds g·x[i + j] to voxels i of a row: those between its ends side by side.
func (p *blurrer) alongRow(out, row, g []float32, j int) {
	width, c := p.size[2], p.c
	from := min(max(0, -j), width)
	to := max(from, min(width, width-j))
	if from < to {
		p.addChannels(out[from*c:to*c], row[(from+j)*c:], g)
	}
	for i := range width {
		if i < from || i >= to {
			p.addChannels(out[i*c:][:c], row[reflected(i+j, width)*c:], g)
		}
	}
}

// kernels makes taps [2r+1 C], which add up to 1, and returns the largest
// radius r of a sample's channels.
func (p *blurrer) kernels(taps []float32, n int) (r int) {
	for c := range p.c {
		r = max(r, p.radius(p.parameter(n, c)))
	}
	taps = taps[:(2*r+1)*p.c]
	clear(taps)
	for c := range p.c {
		sigma := float64(p.parameter(n, c))
		own := p.radius(p.parameter(n, c))
		sum := 0.0
		for j := -own; j <= own; j++ {
			sum += gauss(j, sigma)
		}
		for j := -own; j <= own; j++ {
			taps[(j+r)*p.c+c] = float32(gauss(j, sigma) / sum)
		}
	}
	return r
}

// radius is nnU-Net's: half of the odd number next to 6σ + ½.
func (p *blurrer) radius(sigma float32) int {
	if sigma == 0 {
		return 0
	}
	return min(p.op.Radius, int(6*float64(sigma)+0.5)/2)
}

func gauss(j int, sigma float64) float64 {
	if j == 0 {
		return 1
	}
	return math.Exp(-float64(j*j) / (2 * sigma * sigma))
}

// addChannels makes y += g[c]·x, c the channel.
func (p *blurrer) addChannels(y, x, g []float32) {
	if p.c == 1 {
		p.flat.addScaled(y, x[:len(y)], g[0])
		return
	}
	for i := 0; i < len(y); i += len(g) {
		for c, m := range g {
			y[i+c] += m * x[i+c]
		}
	}
}

// reflected brings i back into an axis of n voxels, without repeating the border.
func reflected(i, n int) int {
	for n > 1 && (i < 0 || i >= n) {
		if i < 0 {
			i = -i
		} else {
			i = 2*(n-1) - i
		}
	}
	return min(max(i, 0), n-1)
}
