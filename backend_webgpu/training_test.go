package webgpu

import (
	"math"
	"math/rand/v2"
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

// tiny is a training of two stages on blobs in noise.
func tiny(t *testing.T) (*plan.Configuration, *unet.Train) {
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(3), Channels: []plan.Channel{{Name: "x"}}}
	p.Recipe.Augmentation = nil
	for k := range 3 {
		p.Labels = append(p.Labels, plan.Label{Values: []int{k}})
	}
	c := &plan.Configuration{Name: "tiny", Dim: 3, Patch: [3]int{8, 8, 8}, Batch: 2}
	c.Network = plan.Network{
		Kind: plan.Plain, Features: []int{4, 6}, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
		Kernels: [][3]int{{3, 3, 3}, {3, 3, 3}}, Strides: [][3]int{{1, 1, 1}, {2, 2, 2}},
		Convs: []int{1, 1}, DecoderConvs: []int{1},
	}
	tr, err := unet.NewTrain(p, c, unet.TrainOptions{})
	require.NoError(t, err)
	return c, tr
}

// batch is two samples with a cube of each label.
func batch(c *plan.Configuration) (x []float32, labels []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	n := c.Batch * c.Patch[0] * c.Patch[1] * c.Patch[2]
	x, labels = make([]float32, n), make([]byte, n)
	for i := range x {
		d, h, w := i/64%8, i/8%8, i%8
		switch {
		case d < 4 && h < 4 && w > i/512:
			labels[i] = 1
		case d > 4 && h > 3 && w < 5:
			labels[i] = 2
		}
		x[i] = float32(r.NormFloat64()) + 2*float32(labels[i])
	}
	return x, labels
}

// losses trains on a device. Before each step, disturb may change the weights.
func losses(t *testing.T, dev backend.Device, steps int, rate float32, disturb func([]float32)) []float64 {
	c, tr := tiny(t)
	l := dev.Limits()
	p, err := compile.Compile(tr.Graph, compile.Options{BufferBytes: l.BufferBytes, ValueBytes: l.ValueBytes})
	require.NoError(t, err)
	s, err := backend.NewSession(dev, p, nil)
	require.NoError(t, err)
	defer s.Close()
	ctx := t.Context()
	for i, w := range unet.InitialWeights(tr.Graph, tr.Params, 7) {
		require.NoError(t, s.WriteWeight(ctx, tr.Params[i], w))
	}
	x, labels := batch(c)
	require.NoError(t, s.WriteF32(ctx, tr.Source, x))
	require.NoError(t, s.Write(ctx, tr.Labels, labels))
	ctl := make([]float32, tr.CtlLen)
	ctl[graph.CtlRate], ctl[graph.CtlLossScale], ctl[graph.CtlClip] = rate, 1, 12
	for n := range c.Batch { // no augmentation: the identity
		row := ctl[tr.Slots[0].Ctl+n*graph.WarpLen:]
		for a := range 3 {
			row[graph.RowAffine+4*a], row[graph.RowOffset+a] = 1, float32(c.Patch[a]-1)/2
		}
	}
	require.NoError(t, s.WriteF32(ctx, tr.Ctl, ctl))
	var out []float64
	for range steps {
		if disturb != nil {
			for _, v := range tr.Params {
				w := make([]float32, p.Type(v).Shape.Elems())
				require.NoError(t, s.ReadF32(ctx, v, w))
				disturb(w)
				require.NoError(t, s.WriteWeight(ctx, v, w))
			}
		}
		require.NoError(t, s.Run(ctx))
		var loss [1]float32
		require.NoError(t, s.ReadF32(ctx, tr.Loss, loss[:]))
		out = append(out, float64(loss[0]))
	}
	return out
}

// Two devices that round differently drift apart. How fast is measured on the CPU
// alone: by runs whose weights are moved by half a unit in the last place before
// each step. A sum of n terms may be off by 4 + 2√n times as much (backendtest), n
// being the voxels of a batch: that is what a device may differ by.
func TestTheLossCurveIsThatOfTheCPU(t *testing.T) {
	const steps, rate = 40, 0.01
	c, _ := tiny(t)
	host := cpu.Open(cpu.Options{})
	defer func() { require.NoError(t, host.Close()) }()
	want := losses(t, host, steps, rate, nil)
	require.Less(t, want[steps-1], want[0]-0.5, "it learns")
	drift := make([]float64, steps)
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 3))
		moved := losses(t, host, steps, rate, func(w []float32) {
			for i, v := range w {
				w[i] = math.Nextafter32(v, v+1-2*float32(r.IntN(2)))
			}
		})
		for i := range drift {
			drift[i] = max(drift[i], math.Abs(moved[i]-want[i])/2) // moved by whole units
		}
	}
	longest := 4 + 2*math.Sqrt(float64(c.Batch*c.Patch[0]*c.Patch[1]*c.Patch[2]))
	within := func(got []float64) (ok bool, worst float64) {
		ok = true
		for i := range got {
			// A loss near 1 is itself a sum in float32.
			allowed := longest * (drift[i] + 0x1p-24*math.Max(1, math.Abs(want[i])))
			worst = max(worst, math.Abs(got[i]-want[i])/allowed)
			ok = ok && math.Abs(got[i]-want[i]) <= allowed
		}
		return ok, worst
	}
	got := losses(t, opened(t), steps, rate, nil)
	ok, worst := within(got)
	t.Logf("loss %.4f to %.4f, the worst step has %.2g of what it may differ by", got[0], got[steps-1], worst)
	assert.True(t, ok, "webgpu %v\ncpu %v", got, want)

	ok, _ = within(losses(t, host, steps, 1.01*rate, nil))
	assert.False(t, ok, "a rate that is wrong by a hundredth is noticed")
}
