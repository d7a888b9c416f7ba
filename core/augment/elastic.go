package augment

import (
	"math"
	"math/rand/v2"

	"github.com/gounet/gounet/core/plan"
)

// DrawField fills the displacements [N D H W 3] of one step for an elastic Warp, in voxels:
// noise, smoothed by a Gaussian that goes around the borders, made as large as the draw
// says, with mean 0. Samples that the transform leaves alone get 0. Source:
// batchgeneratorsv2's SpatialTransform.
func (b Batch) DrawField(field []float32, seed uint64, step int) {
	clear(field)
	t := find(b.Recipe, plan.Elastic)
	voxels := b.Patch[0] * b.Patch[1] * b.Patch[2]
	for i := range b.Samples {
		r := Random(seed^0xD1B54A32D192ED03, step, b.First+i) // apart from the streams of Draw and of what is cut
		if t == nil || r.Float64() >= t.P {
			continue
		}
		b.deform(field[3*i*voxels:][:3*voxels], *t, r)
	}
}

// deform draws the field [D H W 3] of a sample. Where D is not among the axes all planes
// have the same.
func (b Batch) deform(field []float32, t plan.Transform, r *rand.Rand) {
	shape := b.Patch
	if !t.Axes[0] {
		shape[0] = 1
	}
	plane := make([]float32, shape[0]*shape[1]*shape[2])
	sigma := uniform(t.Ranges["sigma"], r)
	for a := range 3 {
		if !t.Shared && a > 0 {
			sigma = uniform(t.Ranges["sigma"], r)
		}
		magnitude := uniform(t.Ranges["magnitude"], r)
		if !t.Axes[a] {
			continue
		}
		for i := range plane {
			plane[i] = float32(r.NormFloat64())
		}
		smooth(plane, shape, sigma*float64(b.Patch[a]))
		largest, mean := 0.0, 0.0
		for _, u := range plane {
			largest = max(largest, math.Abs(float64(u)))
			mean += float64(u) / float64(len(plane))
		}
		if largest == 0 {
			continue
		}
		for v := range len(field) / 3 {
			field[3*v+a] = float32((float64(plane[v%len(plane)]) - mean) * magnitude / largest)
		}
	}
}

// smooth convolves x with a Gaussian of sigma voxels along all axes, as eight boxes whose
// ends weigh so much that their variance is exact (Gwosdek et al. 2011). The borders meet.
func smooth(x []float32, shape [3]int, sigma float64) {
	const boxes = 8
	variance := sigma * sigma / boxes
	radius := math.Floor((math.Sqrt(12*variance+1) - 1) / 2)
	end := (2*radius + 1) * (radius*(radius+1) - 3*variance) / (6 * (variance - (radius+1)*(radius+1)))
	weight := 1 / (2*radius + 1 + 2*end)
	stride := 1
	for a := 2; a >= 0; a-- {
		n := shape[a]
		line, out := make([]float64, n+2*(int(radius)+1)), make([]float64, n)
		for first := range x {
			if first/stride%n != 0 {
				continue
			}
			for i := range out {
				out[i] = float64(x[first+i*stride])
			}
			for range boxes {
				around(line, out)
				box(out, line, int(radius), end, weight)
			}
			for i, v := range out {
				x[first+i*stride] = float32(v)
			}
		}
		stride *= n
	}
}

// around repeats x until it fills line, whose middle it is.
func around(line, x []float64) {
	n := len(x)
	pad := (len(line) - n) / 2
	copy(line[pad:], x)
	for i := range pad {
		line[pad-1-i] = line[pad-1-i+n]
	}
	for i := pad + n; i < len(line); i++ {
		line[i] = line[i-n]
	}
}

// box is weight times the sum of 2·radius + 1 neighbours and, weighing end, the two next to
// them. in has radius + 1 values more than out on each side.
func box(out, in []float64, radius int, end, weight float64) {
	sum := 0.0
	for _, v := range in[1 : 2*radius+2] {
		sum += v
	}
	for i := range out {
		before, behind := in[i], in[i+2*radius+2]
		out[i] = weight * (sum + end*(before+behind))
		sum += behind - in[i+1]
	}
}
