package unet_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// lossFile is testdata/losses.json, which stands beside the script that made it.
type lossFile struct {
	Shape          []int // N K D H W
	Logits         []float32
	Labels, Sparse []int
	Cases          map[string]lossCase
}

type lossCase struct {
	Voxel         string
	K, Dice       float64
	Smoothing     float64
	Gamma         float64
	Offset        float64 // what the original adds: Dice is 1 − Dice there
	Weights       []float64
	Batch, Ignore bool
	Loss          float64
	Gradient      []float32
}

func TestLossesAreThoseOfTheOriginals(t *testing.T) {
	b, err := os.ReadFile("testdata/losses.json")
	require.NoError(t, err)
	var file lossFile
	require.NoError(t, json.Unmarshal(b, &file))
	require.Len(t, file.Cases, 19)
	for name, c := range file.Cases {
		t.Run(name, func(t *testing.T) {
			loss, gradient := file.run(t, c)
			// Sums of a few hundred terms in float32 on both sides.
			assert.InDelta(t, c.Loss-c.Offset, loss, 2e-6*max(1, math.Abs(c.Loss)))
			worst, largest := 0.0, 0.0
			for i, want := range lastOf(file.Shape, c.Gradient) {
				worst = max(worst, math.Abs(float64(gradient[i]-want)))
				largest = max(largest, math.Abs(float64(want)))
			}
			assert.LessOrEqual(t, worst, 1e-5*largest)
		})
	}
}

// run is the loss of one head, and its gradient in the logits [N D H W K].
func (f *lossFile) run(t *testing.T, c lossCase) (float64, []float32) {
	p := &plan.Plan{Ignore: -1, Labels: make([]plan.Label, f.Shape[1]), Recipe: plan.NNUNet(3)}
	for i := range p.Labels {
		p.Labels[i].Values = []int{i}
	}
	labels := f.Labels
	if c.Ignore {
		p.Ignore, labels = f.Shape[1], f.Sparse
	}
	l := &p.Recipe.Loss
	l.Voxel, l.TopK, l.ClassWeights, l.DiceWeight = c.Voxel, c.K, c.Weights, c.Dice
	l.Smoothing, l.Gamma, l.Sigmoid = c.Smoothing, c.Gamma, c.Gamma != 0
	p.Recipe.DeepSupervision.FullResolution = true
	n, k, d, h, w := f.Shape[0], f.Shape[1], f.Shape[2], f.Shape[3], f.Shape[4]
	conf := &plan.Configuration{BatchDice: c.Batch, Network: plan.Network{Strides: [][3]int{{1, 1, 1}}}}
	var z, y, ctl, loss, grad, shift graph.Value
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows)
		y = b.Declare("labels", graph.IO, graph.U8, n, d, h, w)
		z = b.Param("logits", n, d, h, w, k)
		shift = unet.NewShift(b, p, z)
		loss = unet.LossOfForeground(b, p, conf, []graph.Value{z}, y, ctl, []float64{1}, shift)
		b.Place(loss, graph.IO)
		grad = b.Backward(loss, []graph.Value{z})[0]
		return []graph.Value{loss, grad}
	})
	require.NoError(t, err)
	prog, err := compile.Compile(g, compile.Options{})
	require.NoError(t, err)
	dev := cpu.Open(cpu.Options{})
	defer func() { assert.NoError(t, dev.Close()) }()
	s, err := backend.NewSession(dev, prog, nil)
	require.NoError(t, err)
	defer s.Close()
	ctx := t.Context()
	bytes := make([]byte, len(labels))
	for i, v := range labels {
		bytes[i] = byte(v)
	}
	require.NoError(t, s.WriteF32(ctx, z, lastOf(f.Shape, f.Logits)))
	require.NoError(t, s.Write(ctx, y, bytes))
	require.NoError(t, s.WriteF32(ctx, ctl, []float32{graph.CtlLossScale: 1}))
	if shift != 0 {
		require.NoError(t, s.WriteF32(ctx, shift, unet.Shift(s.Program.Type(shift).Shape)))
	}
	require.NoError(t, s.Run(ctx))
	value, gradient := make([]float32, 1), make([]float32, len(f.Logits))
	require.NoError(t, s.ReadF32(ctx, loss, value))
	require.NoError(t, s.ReadF32(ctx, grad, gradient))
	return float64(value[0]), gradient
}

// lastOf turns [N K …] into [N … K].
func lastOf(shape []int, x []float32) []float32 {
	n, k := shape[0], shape[1]
	v := len(x) / n / k
	out := make([]float32, len(x))
	for i := range x {
		out[(i/(k*v)*v+i%v)*k+i/v%k] = x[i]
	}
	return out
}
