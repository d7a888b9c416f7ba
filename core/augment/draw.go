package augment

import (
	"math"
	"math/rand/v2"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// Batch says what a training step's ctl is filled for.
type Batch struct {
	Recipe   plan.Recipe // fitted to the configuration (Recipe.For)
	Slots    []unet.Slot // of the training step
	Source   [3]int      // voxels of the source crops
	Patch    [3]int
	Samples  int
	First    int // of these samples in the batch of all devices
	Channels int
}

// Random returns the generator of sample i of a step: the same for the same
// seed, step and i.
func Random(seed uint64, step, i int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(step)<<16|uint64(i)))
}

// Draw fills the rows of ctl for one step.
func (b Batch) Draw(ctl []float32, seed uint64, step int) {
	if b.First > 0 {
		b.sample(ctl, 0, Random(seed, step, 0), true) // for the seeds
	}
	for i := range b.Samples {
		b.sample(ctl, i, Random(seed, step, b.First+i), b.First+i == 0)
	}
}

// sample fills the rows of sample i. The first of a batch draws the seeds for all.
func (b Batch) sample(ctl []float32, i int, r *rand.Rand, first bool) {
	b.affine(ctl[b.Slots[0].Ctl+i*graph.WarpLen:][:graph.WarpLen], r)
	slot := 1
	chosen := choices{r: r}
	for of, t := range b.Recipe.Augmentation {
		// A transform may have several slots, one an axis; each is drawn for itself.
		fires := r.Float64() < t.P
		if t.Choice != "" && !chosen.is(b.Recipe.Augmentation, of) {
			fires = false
		}
		channels := make([]bool, b.Channels)
		for c := range channels {
			channels[c] = r.Float64() < t.PChannel
		}
		var drawn []float32 // of the axis before
		for slot < len(b.Slots) && b.Slots[slot].Of == of {
			s := b.Slots[slot]
			rows := ctl[s.Ctl+i*b.Channels*s.Len:][:b.Channels*s.Len]
			switch {
			case t.Draw == plan.AllAxes && drawn != nil:
				copy(rows, drawn)
			case s.Len > 1:
				b.rows(rows, t, fires, channels, r)
			default:
				b.values(rows, t, fires, channels, r)
			}
			drawn = rows
			if s.Seed != 0 && first {
				ctl[s.Seed], ctl[s.Seed+1] = float32(r.IntN(1<<24)), float32(r.IntN(1<<24))
			}
			slot++
		}
	}
}

// values draws the parameter of each channel; 0 leaves a channel alone.
func (b Batch) values(dst []float32, t plan.Transform, fires bool, channels []bool, r *rand.Rand) {
	shared := parameter(t, r)
	for c := range dst {
		v := shared
		if !t.Shared && c > 0 {
			v = parameter(t, r)
		}
		dst[c] = 0
		if fires && channels[c] {
			dst[c] = float32(v)
		}
	}
}

// parameter draws sigma, scale, or a factor or exponent from one of two ranges.
func parameter(t plan.Transform, r *rand.Rand) float64 {
	switch t.Op {
	case plan.Noise, plan.Blur:
		return uniform(t.Ranges["sigma"], r)
	case plan.LowRes, plan.Scaling:
		return uniform(t.Ranges["scale"], r)
	case plan.Rotation:
		return uniform(t.Ranges["angle"], r)
	case plan.Median:
		size := t.Ranges["size"]
		return size[0] + float64(r.IntN(int(size[1]-size[0])+1))
	case plan.Sharpening:
		return uniform(t.Ranges["strength"], r)
	case plan.Shift:
		return r.NormFloat64() * uniform(t.Ranges["sigma"], r)
	}
	if f, ok := t.Ranges["factor"]; ok {
		return uniform(f, r)
	}
	if r.Float64() < 0.5 { // nnU-Net's coin between weaker and stronger
		return uniform(t.Ranges["below"], r)
	}
	return uniform(t.Ranges["above"], r)
}

func uniform(v plan.Range, r *rand.Rand) float64 { return v[0] + (v[1]-v[0])*r.Float64() }

// affine draws the row of Warp: rotations about the axes D, H, W in this order,
// scales, quarter turns, the order of axes, mirroring. The centre of the patch lies on the voxel grid of the
// crop as nnU-Net crops, so that a sample that is neither rotated nor scaled is
// copied exactly.
func (b Batch) affine(row []float32, r *rand.Rand) {
	m := [3][3]float64{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
	for _, t := range b.Recipe.Augmentation {
		switch t.Op {
		case plan.Rotation:
			fires := r.Float64() < t.P
			for a := range 3 {
				angle := parameter(t, r)
				own := t.PAxis == 0 || r.Float64() < t.PAxis
				if fires && own && t.Axes[a] {
					m = multiply(m, rotation(a, angle*math.Pi/180))
				}
			}
		case plan.Scaling:
			fires, s := r.Float64() < t.P, parameter(t, r)
			for a := range 3 {
				if t.Draw == plan.EachAxis {
					s = parameter(t, r)
				}
				if fires && t.Axes[a] {
					for i := range 3 { // columns: the patch is scaled before it is rotated
						m[i][a] *= s
					}
				}
			}
		case plan.Rotation90, plan.Transposition:
			fires, p := r.Float64() < t.P, turned(t, r)
			if fires {
				m = multiply(m, p)
			}
		case plan.Mirror:
			for a := range 3 {
				if r.Float64() < t.P && t.Axes[a] {
					for i := range 3 {
						m[i][a] = -m[i][a]
					}
				}
			}
		}
	}
	for i := range 3 {
		for j := range 3 {
			row[graph.RowAffine+3*i+j] = float32(m[i][j])
		}
		row[graph.RowOffset+i] = float32(b.Source[i]/2-b.Patch[i]/2) + float32(b.Patch[i]-1)/2
	}
}

// Identity fills the row of Warp that copies the middle of the source.
func Identity(row []float32, source, patch [3]int) {
	b := Batch{Source: source, Patch: patch}
	b.affine(row, nil)
}

func rotation(axis int, angle float64) [3][3]float64 {
	s, c := math.Sincos(angle)
	m := [3][3]float64{}
	i, j := (axis+1)%3, (axis+2)%3
	m[axis][axis], m[i][i], m[j][j] = 1, c, c
	m[i][j], m[j][i] = -s, s
	return m
}

func multiply(a, b [3][3]float64) (m [3][3]float64) {
	for i := range 3 {
		for j := range 3 {
			for k := range 3 {
				m[i][j] += a[i][k] * b[k][j]
			}
		}
	}
	return m
}
