package unet

import (
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// Stage is what the previous stage of a cascade gives to a training step: labels,
// which become channels beside those of the images, 1 where a voxel has the label.
type Stage struct {
	Labels graph.Value // IO u8[N d h w], on the grid of the source
	Zeros  graph.Value // IO T[N D H W K]: to be written once, with zeros
	Pick   graph.Value // IO f32[N K 5]: to be written once, with Picks
}

// newStage declares the labels on the grid of like.
func newStage(b *graph.Builder, like graph.Value) *Stage {
	return &Stage{Labels: b.Declare("previous", graph.IO, graph.U8, b.Type(like).Shape...)}
}

// channels adds the labels, warped like those of the target and never blended, as
// channels of the input. The op for it is the adjoint of Σ p·t: its value is
// p′·t·(cotangent), t is 1 for the label of the voxel, and p′ of a sigmoid is ¼ at
// logits of 0.
func (s *Stage) channels(b *graph.Builder, p *plan.Plan, c *plan.Configuration, ctlAt int, source, ctl graph.Value) graph.Value {
	n := b.Type(source).Shape[0]
	op := graph.SegSums{Stride: one, Act: graph.Sigmoid, Ignore: -1}
	for _, v := range p.ForegroundValues() {
		op.Regions = append(op.Regions, []uint8{uint8(v)})
	}
	k := len(op.Regions)
	s.Zeros = b.Declare("previous.zeros", graph.IO, graph.T, n, c.Patch[0], c.Patch[1], c.Patch[2], k)
	s.Pick = b.Declare("previous.pick", graph.IO, graph.F32, n, k, graph.SumsLen)
	y := b.Apply("previous.warp", graph.Warp{Patch: c.Patch, Ctl: ctlAt}, source, s.Labels, ctl)[1]
	return b.Apply("previous.channels", graph.SegGrad{SegSums: op}, s.Zeros, y, s.Pick)[0]
}

// Picks is the content of Stage.Pick, of n values.
func Picks(n int) []float32 {
	v := make([]float32, n)
	for i := graph.SumPT; i < n; i += graph.SumsLen {
		v[i] = 4 // 1/p′
	}
	return v
}
