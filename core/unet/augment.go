package unet

import (
	"fmt"
	"slices"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// Slot says where in ctl the parameters of a transform go. What is drawn is
// core/augment's business.
type Slot struct {
	Op   string // of the recipe's transform; "" for the affine maps of Warp
	Of   int    // which of the recipe's transforms that is
	Axis int    // of Blur
	Ctl  int    // first slot: Len values for each sample and channel, or WarpLen values a sample
	Len  int    // 1, or the length of a row
	Seed int    // of Noise: two slots of 24 bits
}

// augmentation adds the recipe's transforms in order: rotation, scaling,
// deformation and mirroring as one Warp, then those of the intensities.
//
//	src f32[N d h w C]   labels u8[N d h w]   ctl → x T[N D H W C]   u8[N D H W]
//
// An elastic recipe has a field beside these, which the host draws whole.
//
// Channels whose statistics are of the non-zero mask are 0 outside of it again
// in the end, as in nnU-Net. first is the number of samples of the batch that other
// devices have before these.
func (t *Train) augmentation(b *graph.Builder, r plan.Recipe, c *plan.Configuration, first int) (x, y graph.Value) {
	ts := r.Augmentation
	patch, ctl := c.Patch, t.Ctl
	n := b.Type(t.Source).Shape[0]
	t.Slots, _ = slotsOf(ts, patch, n, b.Type(t.Source).Shape[4])
	in, warp := []graph.Value{t.Source, t.Labels, ctl}, graph.Warp{Patch: patch, Ctl: t.Slots[0].Ctl, Cubic: r.Interpolation == plan.Cubic, Nearest: r.Interpolation == plan.NearestLabels}
	if slices.ContainsFunc(ts, plan.Transform.IsElastic) {
		t.Field = b.Declare("field", graph.IO, graph.F32, n, patch[0], patch[1], patch[2], 3)
		in, warp.Elastic = append(in, t.Field), true
	}
	out := b.Apply("augment.warp", warp, in...)
	x, y = out[0], out[1]
	for _, s := range t.Slots[1:] {
		name := "augment." + s.Op
		if slices.ContainsFunc(ts[:s.Of], func(before plan.Transform) bool { return before.Op == s.Op }) {
			name = fmt.Sprintf("%s.%d", name, s.Of)
		}
		var op graph.Op
		switch of := ts[s.Of]; s.Op {
		case plan.Blur:
			name = fmt.Sprintf("%s.%d", name, s.Axis)
			op = graph.Blur{Axis: s.Axis, Radius: blurRadius(ts), Ctl: s.Ctl}
		case plan.Median:
			op = graph.Median{Most: int(of.Ranges["size"][1]), Ctl: s.Ctl}
		case plan.Sharpening:
			op = graph.Sharpen{Ctl: s.Ctl}
		case plan.BlankBoxes:
			op = graph.Blank{Boxes: s.Len / graph.BoxLen, Ctl: s.Ctl}
		case plan.Gradient, plan.LocalGamma:
			op = graph.Local{Gamma: s.Op == plan.LocalGamma, Ctl: s.Ctl}
		case plan.LowRes:
			low := graph.LowRes{Ctl: s.Ctl}
			for a := range low.Keep {
				low.Keep[a] = !of.Axes[a]
			}
			op = low
		default:
			i := graph.Intensity{Kind: intensities[s.Op], Ctl: s.Ctl, Seed: s.Seed}
			if s.Op == plan.Noise {
				shape := b.Type(x).Shape
				i.First = first * (shape.Elems() / shape[0])
				if end := int64(i.First) + int64(shape.Elems()); end > 1<<32 {
					b.Fail("%s: a batch of %d elements, noise has numbers for 2^32: choose a smaller batch", name, end)
				}
			}
			op = i
		}
		x = b.Apply(name, op, x, ctl)[0]
	}
	if len(t.Slots) > 1 && slices.Contains(c.MaskNorm, true) {
		x = b.Apply("augment.mask", graph.Mask{Channels: c.MaskNorm}, x, y)[0]
	}
	return x, y
}

var intensities = map[string]graph.IntensityKind{
	plan.Noise: graph.Noise, plan.Brightness: graph.Brightness, plan.Contrast: graph.Contrast, plan.ContrastZero: graph.ContrastZero,
	plan.Shift: graph.Shift, plan.ContrastOpen: graph.ContrastOpen,
	plan.Gamma: graph.Gamma, plan.GammaInverted: graph.GammaInvert,
}

// slotsOf lays out ctl for n samples of c channels and returns its length.
func slotsOf(ts []plan.Transform, patch [3]int, n, c int) (slots []Slot, length int) {
	next := graph.CtlRows
	take := func(s Slot, k int) {
		s.Ctl = next
		next += k
		slots = append(slots, s)
	}
	take(Slot{}, n*graph.WarpLen)
	for i, t := range ts {
		s := Slot{Op: t.Op, Of: i, Len: 1}
		switch t.Op {
		case plan.BlankBoxes:
			s.Len = int(t.Ranges["count"][1]) * graph.BoxLen
		case plan.Gradient, plan.LocalGamma:
			s.Len = graph.LocalFactors + patch[0] + patch[1] + patch[2]
		}
		switch {
		case plan.InSpace(t.Op): // in the warp
		case plan.OnPrevious(t.Op): // of labels, on the host
		case t.Op == plan.Blur:
			for a := range 3 {
				if s.Axis = a; t.Axes[a] && patch[a] > 1 {
					take(s, n*c)
				}
			}
		case t.Op == plan.Noise:
			s.Seed = next + n*c
			take(s, n*c+2)
		default:
			take(s, n*c*s.Len)
		}
	}
	return slots, next
}

// blurRadius covers the largest sigma of the recipe: half of nnU-Net's kernel,
// the odd number next to 6σ + ½.
func blurRadius(ts []plan.Transform) int {
	r := 1
	for _, t := range ts {
		if t.Op == plan.Blur {
			r = max(r, int(6*t.Ranges["sigma"][1]+0.5)/2)
		}
	}
	return r
}
