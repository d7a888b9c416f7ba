package unet

import (
	"fmt"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// Loss adds the loss of the heads, weighted by w from the full resolution down.
//
//	logits T[N D/s H/s W/s K] a head   labels u8[N D H W] → f32[1]
func Loss(b *graph.Builder, p *plan.Plan, c *plan.Configuration, logits []graph.Value, labels, ctl graph.Value, w []float64) graph.Value {
	return LossOfForeground(b, p, c, logits, labels, ctl, w, 0)
}

// LossOfForeground is Loss with what newShift declares, for a recipe that wants it.
func LossOfForeground(b *graph.Builder, p *plan.Plan, c *plan.Configuration, logits []graph.Value, labels, ctl graph.Value, w []float64, shift graph.Value) graph.Value {
	var total graph.Value
	stride := one
	for i, z := range logits {
		for a := range stride {
			stride[a] *= c.Network.Strides[i][a]
		}
		if w[i] == 0 {
			continue
		}
		if shift != 0 {
			f := foreground{b, p, c, labels, ctl, shift}
			total = f.loss(fmt.Sprintf("loss.%d", i), z, total, stride, float32(w[i]))
			continue
		}
		name := fmt.Sprintf("loss.%d", i)
		at := stride
		if p.Recipe.DeepSupervision.FullResolution {
			z, at = enlarge(b, name, z, stride), one
		}
		op := segLoss(p, c, float32(w[i]))
		if p.Recipe.Loss.Voxel == plan.TopK {
			total = topK(b, p, c, name, z, labels, total, ctl, op, at)
			op.CE = 0
			if op.Dice == 0 {
				continue
			}
		}
		sums := allSums(b, c, name, segSums(p, at), z, labels)
		total = b.Apply(name, op, sums, total, ctl)[0]
	}
	return total
}

// allSums are the sums of a loss: with batch Dice those of all devices.
func allSums(b *graph.Builder, c *plan.Configuration, name string, op graph.SegSums, z, labels graph.Value) graph.Value {
	sums := b.Apply(name+".sums", op, z, labels)[0]
	if c.BatchDice {
		b.Place(sums, graph.IO) // where it can be reduced in place
		b.Apply(name+".reduce", graph.AllReduce{}, sums)
	}
	return sums
}

// topK adds the cross entropy of the voxels where it is the largest, over all samples
// of each device.
func topK(b *graph.Builder, p *plan.Plan, c *plan.Configuration, name string, z, labels, total, ctl graph.Value, op graph.SegLoss, stride [3]int) graph.Value {
	name += ".hardest"
	voxels := b.Type(z).Shape[:4].Elems()
	share := p.Recipe.Loss.TopK
	count := max(1, int(share*float64(voxels)+1e-6)) // a share such as 0.29 lies below its decimal
	hard := b.Apply(name, graph.Hardest{Stride: stride, Ignore: p.Ignore, Count: count, Smoothing: float32(p.Recipe.Loss.Smoothing)}, z, labels)[0]
	sums := allSums(b, c, name, graph.SegSums{Stride: one, Act: graph.Softmax, Ignore: graph.Unseen, Smoothing: float32(p.Recipe.Loss.Smoothing)}, z, hard)
	op.Dice = 0
	return b.Apply(name+".loss", op, sums, total, ctl)[0]
}

// enlarge repeats each voxel stride times. The op for it spreads a value over a
// window and divides by its size; the value is multiplied by that before, while it is
// small.
func enlarge(b *graph.Builder, name string, z graph.Value, stride [3]int) graph.Value {
	n := stride[0] * stride[1] * stride[2]
	if n&(n-1) != 0 {
		b.Fail("%s: the stride %v is no power of two: weigh the heads at their own resolution", name, stride)
	}
	for ; n > 1; n /= 2 {
		z = b.Apply(name+".double", graph.Add{}, z, z)[0]
	}
	if stride == one {
		return z
	}
	return b.Apply(name+".enlarge", graph.AvgPoolGrad{Stride: stride}, z)[0]
}

// segSums is the target of the plan: a softmax over labels, or a sigmoid a region.
func segSums(p *plan.Plan, stride [3]int) graph.SegSums {
	op := graph.SegSums{Stride: stride, Act: graph.Softmax, Ignore: p.Ignore}
	if p.HasRegions() {
		op.Act = graph.Sigmoid
		for _, l := range p.Foreground() {
			var values []uint8
			for _, v := range l.Values {
				values = append(values, uint8(v))
			}
			op.Regions = append(op.Regions, values)
		}
	}
	if p.Recipe.Loss.Voxel == plan.Focal {
		op.Gamma = float32(p.Recipe.Loss.Gamma)
	}
	op.Smoothing = float32(p.Recipe.Loss.Smoothing)
	return op
}

func segLoss(p *plan.Plan, c *plan.Configuration, weight float32) graph.SegLoss {
	l := p.Recipe.Loss
	op := graph.SegLoss{
		Weight: weight, CE: float32(l.VoxelWeight), Dice: float32(l.DiceWeight), Smooth: float32(l.Smooth),
		Mean: 1, First: 1, Batch: c.BatchDice,
	}
	for _, w := range l.ClassWeights {
		op.Classes = append(op.Classes, float32(w))
	}
	if p.HasRegions() {
		op.First = 0
		if p.Ignore < 0 { // nnU-Net divides by the mask, which has one channel
			op.Mean = p.Classes()
		}
	}
	if l.DiceBackground {
		op.First = 0
	}
	if l.SumRegions {
		op.Mean, op.Dice = 1, op.Dice*float32(p.Classes()-op.First)
	}
	return op
}
