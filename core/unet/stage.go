package unet

import (
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// Stage is what the previous stage of a cascade gives to a training step: labels,
// which become channels beside those of the images, 1 where a voxel has the label.
type Stage struct {
	Labels graph.Value // IO u8[N D H W], on the grid of the patch: warped and reshaped by the host
	Zeros  graph.Value // IO T[N D H W K]: to be written once, with zeros
	Pick   graph.Value // IO f32[N K 5]: to be written once, with Picks
}

// newStage adds the labels of n samples as channels of the input. The op for it is the adjoint of Σ p·t: its value is
// p′·t·(cotangent), t is 1 for the label of the voxel, and p′ of a sigmoid is ¼ at
// logits of 0.
func newStage(b *graph.Builder, p *plan.Plan, c *plan.Configuration, n int) (s *Stage, channels graph.Value) {
	s = &Stage{Labels: b.Declare("previous", graph.IO, graph.U8, n, c.Patch[0], c.Patch[1], c.Patch[2])}
	op := graph.SegSums{Stride: one, Act: graph.Sigmoid, Ignore: -1}
	for _, v := range p.ForegroundValues() {
		op.Regions = append(op.Regions, []uint8{uint8(v)})
	}
	k := len(op.Regions)
	s.Zeros = b.Declare("previous.zeros", graph.IO, graph.T, n, c.Patch[0], c.Patch[1], c.Patch[2], k)
	s.Pick = b.Declare("previous.pick", graph.IO, graph.F32, n, k, graph.SumsLen)
	return s, b.Apply("previous.channels", graph.SegGrad{SegSums: op}, s.Zeros, s.Labels, s.Pick)[0]
}

// Picks is the content of Stage.Pick, of n values.
func Picks(n int) []float32 {
	v := make([]float32, n)
	for i := graph.SumPT; i < n; i += graph.SumsLen {
		v[i] = 4 // 1/p′
	}
	return v
}
