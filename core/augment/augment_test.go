package augment

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

func hippocampus() (*plan.Plan, *plan.Configuration) {
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(3), Channels: make([]plan.Channel, 1)}
	for k := range 3 {
		p.Labels = append(p.Labels, plan.Label{Values: []int{k}})
	}
	c := &plan.Configuration{Name: "3d_fullres", Dim: 3, Patch: [3]int{40, 56, 40}, Batch: 2, Network: plan.Network{
		Kind: plan.Plain, Features: []int{4, 8}, Kernels: [][3]int{{3, 3, 3}, {3, 3, 3}}, Strides: [][3]int{{1, 1, 1}, {2, 2, 2}},
		Convs: []int{1, 1}, DecoderConvs: []int{1}, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
	}}
	return p, c
}

func batch(t *testing.T) (Batch, int) {
	p, c := hippocampus()
	r := p.Recipe.For(c)
	source := SourceShape(r, c.Patch)
	tr, err := unet.NewTrain(p, c, unet.TrainOptions{Source: source})
	require.NoError(t, err)
	return Batch{Recipe: r, Slots: tr.Slots, Source: source, Patch: c.Patch, Samples: c.Batch, Channels: 1}, tr.CtlLen
}

func TestSourceShapeIsThatOfTheOriginal(t *testing.T) {
	p, c := hippocampus()
	assert.Equal(t, [3]int{73, 80, 64}, SourceShape(p.Recipe.For(c), c.Patch))
	r := p.Recipe.For(c)
	r.Augmentation = nil
	assert.Equal(t, c.Patch, SourceShape(r, c.Patch), "without rotation and scaling the patch is enough")
}

func TestDrawDependsOnSeedAndStepAlone(t *testing.T) {
	b, n := batch(t)
	draw := func(seed uint64, step int) []float32 {
		ctl := make([]float32, n)
		b.Draw(ctl, seed, step)
		return ctl
	}
	assert.Equal(t, draw(1, 7), draw(1, 7))
	assert.NotEqual(t, draw(1, 7), draw(1, 8))
	assert.NotEqual(t, draw(1, 7), draw(2, 7))
	assert.Equal(t, make([]float32, graph.CtlRows), draw(1, 7)[:graph.CtlRows], "the step's own slots are left alone")
}

func TestTransformsFireAsOftenAsTheRecipeSays(t *testing.T) {
	b, n := batch(t)
	ctl := make([]float32, n)
	fired := map[string]int{}
	const steps = 4000
	for i := range steps {
		b.Draw(ctl, 3, i)
		for _, s := range b.Slots[1:] {
			if ctl[s.Ctl] != 0 {
				fired[s.Op]++
			}
		}
		row := ctl[b.Slots[0].Ctl:]
		if math.Abs(float64(row[0])) != 1 {
			fired["space"]++
		}
		if row[0]*row[4]*row[8] < 0 {
			fired["odd mirrors"]++
		}
	}
	for op, want := range map[string]float64{
		"space":    0.36, // golden: fraction_drawn 0.3635
		plan.Noise: 0.1, plan.Brightness: 0.15, plan.Contrast: 0.15, plan.LowRes: 0.125,
		plan.GammaInverted: 0.1, plan.Gamma: 0.3, plan.Blur: 3 * 0.1, "odd mirrors": 0.5,
	} {
		sigma := math.Sqrt(want * 3 / steps) // a generous bound of the binomial's deviation, blur counted thrice
		assert.InDelta(t, want, float64(fired[op])/steps, 4*sigma, op)
	}
}

func TestUntransformedSampleIsCopiedExactly(t *testing.T) {
	row := make([]float32, graph.WarpLen)
	Identity(row, [3]int{73, 80, 64}, [3]int{40, 56, 40})
	for a, want := range []float32{16, 12, 12} { // nnU-Net: source/2 − patch/2
		first := row[graph.RowOffset+a] - float32([]int{40, 56, 40}[a]-1)/2
		assert.Equal(t, want, first)
	}
	assert.Equal(t, []float32{1, 0, 0, 0, 1, 0, 0, 0, 1}, row[:9])
}

func TestRotationsAreRotations(t *testing.T) {
	for axis := range 3 {
		m := multiply(rotation(axis, 0.3), rotation(axis, -0.3))
		for i := range 3 {
			for j := range 3 {
				assert.InDelta(t, map[bool]float64{true: 1}[i == j], m[i][j], 1e-15)
			}
		}
	}
}
