package unet

import (
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// foreground makes the loss of NVIDIA's --focal: the focal loss is of a sigmoid of each class
// but the background by itself, averaged over classes too. As MONAI 1.0 computes it, the logit
// of the background is taken away before Dice's softmax as well; later versions keep it there.
//
// There is no op that takes a channel away. Instead shift makes its logit so small that p
// is 0, and with it all that the class would add.
type foreground struct {
	b                  *graph.Builder
	p                  *plan.Plan
	c                  *plan.Configuration
	labels, ctl, shift graph.Value
}

// NewShift declares the shift for heads like z, to be written once with Shift, or returns 0
// where the recipe has no such loss. All heads have the full resolution then.
func NewShift(b *graph.Builder, p *plan.Plan, z graph.Value) graph.Value {
	if l := p.Recipe.Loss; l.Voxel != plan.Focal || !l.Foreground && !l.Sigmoid || p.HasRegions() {
		return 0
	}
	return b.Declare("shift", graph.IO, b.Type(z).DType, b.Type(z).Shape...)
}

// Shift is the content of NewShift of that shape.
func Shift(s graph.Shape) []float32 {
	v := make([]float32, s.Elems())
	for i := 0; i < len(v); i += s[4] {
		v[i] = -1e4 // exp of it is 0, and 16 bits hold it
	}
	return v
}

// loss adds that of the head z.
func (f foreground) loss(name string, z, total graph.Value, stride [3]int, weight float32) graph.Value {
	whole := enlarge(f.b, name, z, stride)
	shifted := f.b.Apply(name+".shifted", graph.Add{}, whole, f.shift)[0]
	sums := segSums(f.p, one)
	of := sums
	of.Gamma = 0
	for i, l := range f.p.Labels {
		var values []uint8
		for _, v := range l.Values {
			if i > 0 {
				values = append(values, uint8(v))
			}
		}
		sums.Regions = append(sums.Regions, values)
	}
	dice, focal := segLoss(f.p, f.c, weight), segLoss(f.p, f.c, weight)
	dice.CE, focal.Dice, focal.Mean = 0, 0, f.p.Classes()-1
	if f.p.Recipe.Loss.Foreground {
		whole, of.Regions = shifted, sums.Regions
	}
	total = f.add(name+".dice", of, dice, whole, total)
	sums.Act = graph.Sigmoid
	return f.add(name+".focal", sums, focal, shifted, total)
}

func (f foreground) add(name string, op graph.SegSums, loss graph.SegLoss, z, total graph.Value) graph.Value {
	sums := allSums(f.b, f.c, name, op, z, f.labels)
	return f.b.Apply(name, loss, sums, total, f.ctl)[0]
}
