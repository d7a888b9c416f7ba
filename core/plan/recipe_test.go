package plan

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func op(r Recipe, name string) Transform {
	for _, t := range r.Augmentation {
		if t.Op == name {
			return t
		}
	}
	return Transform{}
}

func TestRotationFollowsThePatch(t *testing.T) {
	for _, c := range []struct {
		name  string
		dim   int
		patch [3]int
		angle Range
		axes  [3]bool
		scale [3]bool // axes of scaling and low resolution
	}{
		{"cube", 3, [3]int{128, 128, 128}, Range{-30, 30}, [3]bool{true, true, true}, [3]bool{true, true, true}},
		{"three times as wide as deep", 3, [3]int{32, 96, 64}, Range{-30, 30}, [3]bool{true, true, true}, [3]bool{true, true, true}},
		{"wider still: dummy 2-D", 3, [3]int{16, 56, 56}, Range{-180, 180}, [3]bool{true, false, false}, [3]bool{false, true, true}},
		{"plane", 2, [3]int{1, 56, 40}, Range{-180, 180}, [3]bool{true, false, false}, [3]bool{false, true, true}},
		{"long plane", 2, [3]int{1, 64, 32}, Range{-15, 15}, [3]bool{true, false, false}, [3]bool{false, true, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := &Configuration{Dim: c.dim, Patch: c.patch}
			r := NNUNet(3).For(config)
			assert.Equal(t, map[string]Range{"angle": c.angle}, op(r, Rotation).Ranges)
			assert.Equal(t, c.axes, op(r, Rotation).Axes)
			assert.Equal(t, c.scale, op(r, Scaling).Axes)
			assert.Equal(t, c.scale, op(r, LowRes).Axes)
			assert.Equal(t, [3]bool{c.dim == 3, true, true}, op(r, Mirror).Axes, "mirroring is in all axes that the images have")
			assert.Equal(t, [3]bool{c.dim == 3, true, true}, r.Inference.Mirror)
			assert.Equal(t, r, r.For(config), "fitting twice changes nothing")
			e := newProblems()
			r.validate(e)
			assert.NoError(t, e.err("recipe"))
		})
	}
}

func TestForLeavesTheRecipeAsItIs(t *testing.T) {
	r := NNUNet(3)
	r.For(&Configuration{Dim: 2, Patch: [3]int{1, 64, 64}})
	assert.Equal(t, NNUNet(3), r)
}

func TestSupervisionWeightsSumToOne(t *testing.T) {
	all := DeepSupervision{Decay: 0.5}
	assert.Equal(t, []float64{4.0 / 7, 2.0 / 7, 1.0 / 7}, all.Weights(4))
	nnunet := NNUNet(3).DeepSupervision
	assert.Equal(t, []float64{8.0 / 15, 4.0 / 15, 2.0 / 15, 1.0 / 15, 0}, nnunet.Weights(6), "nnU-Net gives the lowest none")
	assert.Equal(t, []float64{1}, nnunet.Weights(2), "the only one counts")
	two := DeepSupervision{Heads: 2, Decay: 0.5, DropLowest: true}
	assert.Equal(t, []float64{2.0 / 3, 1.0 / 3, 0, 0}, two.Weights(5))
	one := DeepSupervision{Heads: 1, Decay: 0.5}
	assert.Equal(t, []float64{1, 0, 0}, one.Weights(4))
}

// nnU-Net's DDP converts batch norms to SyncBatchNorm; NVIDIA's training, and plans that do
// not say it, leave each rank its own.
func TestRecipesSayWhatABatchNormIsOver(t *testing.T) {
	for _, dim := range []int{2, 3} {
		assert.True(t, NNUNet(dim).SyncBatchNorm)
	}
	assert.False(t, NVIDIA(false).SyncBatchNorm)
	n := Network{Norm: BatchNorm}
	assert.Equal(t, ", batch norm over all ranks", n.otherNorm(true))
	assert.Equal(t, ", batch norm", n.otherNorm(false))
	instance := Network{}
	assert.Empty(t, instance.otherNorm(true))
}

// Adan's betas are others than Adam's: those of adan-pytorch, whose are 1 − β.
func TestBetasGoWithTheOptimizer(t *testing.T) {
	o := NNUNet(3).Optimizer
	before := o
	o.Use(Adan)
	assert.Equal(t, [3]float64{0.98, 0.92, 0.99}, [3]float64{o.Beta1, o.Beta2, o.Beta3})
	assert.Equal(t, [2]float64{0.01, 3e-5}, [2]float64{o.LearningRate, o.WeightDecay}, "nnUNetTrainerAdan keeps the rate and the decay of the default trainer")
	o.Beta1 = 0.97
	o.Use(Adan)
	assert.InDelta(t, 0.97, o.Beta1, 0, "chosen again, nothing changes")
	o.Use(SGD)
	assert.Equal(t, before, o)
}

// DA5 turns and transposes axes of one size, the most common of the patch, as nnU-Net does.
func TestHeavyAugmentationFollowsThePatch(t *testing.T) {
	for _, c := range []struct {
		name  string
		dim   int
		patch [3]int
		equal [3]bool // none: no turns
	}{
		{"cube", 3, [3]int{64, 64, 64}, [3]bool{true, true, true}},
		{"two of three", 3, [3]int{40, 56, 40}, [3]bool{true, false, true}},
		{"none", 3, [3]int{40, 56, 48}, [3]bool{}},
		{"dummy 2-D", 3, [3]int{16, 64, 64}, [3]bool{false, true, true}},
		{"square", 2, [3]int{1, 64, 64}, [3]bool{false, true, true}},
		{"plane", 2, [3]int{1, 64, 48}, [3]bool{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NNUNet(3)
			r.Augment(AugmentDA5, c.dim)
			assert.Equal(t, AugmentDA5, r.AugmentationName())
			config := &Configuration{Dim: c.dim, Patch: c.patch}
			f := r.For(config)
			assert.Equal(t, c.equal, op(f, Rotation90).Axes)
			assert.Equal(t, c.equal, op(f, Transposition).Axes)
			assert.Equal(t, c.name != "dummy 2-D" && c.dim == 3, op(f, LowRes).Axes[0])
			assert.Equal(t, f, f.For(config), "fitting twice changes nothing")
			e := newProblems()
			f.validate(e)
			assert.NoError(t, e.err("recipe"))
			r.Augment(AugmentNNUNet, 3)
			assert.Equal(t, NNUNet(3), r, "and back")
		})
	}
}

// Axes along which a plan does not mirror stay so, and no transposition exchanges the sides.
func TestHeavyAugmentationLeavesSidesAlone(t *testing.T) {
	p := &Plan{Transpose: [3]int{0, 1, 2}, Recipe: NNUNet(3)}
	p.WithoutMirror(2)
	p.Recipe.Augment(AugmentDA5, 3)
	assert.Equal(t, [3]bool{true, true, false}, op(p.Recipe, Mirror).Axes)
	assert.Empty(t, op(p.Recipe, Transposition).Op)
	assert.Equal(t, Rotation90, op(p.Recipe, Rotation90).Op)
	assert.Equal(t, AugmentDA5, p.Recipe.AugmentationName())
	p.Recipe.Augmentation = p.Recipe.Augmentation[1:]
	assert.Empty(t, p.Recipe.AugmentationName(), "a list that somebody has changed")
}

func TestValidateNamesWhatTransformsDoNotHave(t *testing.T) {
	for want, tr := range map[string]Transform{
		"draw is \"each\"":          {Op: Blur, Draw: EachAxis, Ranges: map[string]Range{"sigma": {1, 1}}},
		"p_axis is of rotation":     {Op: Scaling, PAxis: 0.5, Ranges: map[string]Range{"scale": {1, 1}}},
		"choice is \"a\"":           {Op: Mirror, Choice: "a"},
		"size is [2 40]":            {Op: Median, Ranges: map[string]Range{"size": {2, 40}}},
		"the range \"place\" is mi": {Op: Gradient, Ranges: map[string]Range{"scale": {0.2, 1}, "below": {-1, -1}, "above": {1, 1}}},
		"count is [0 4]":            {Op: BlankBoxes, Ranges: map[string]Range{"count": {0, 4}, "edge": {0.1, 0.3}}},
	} {
		e := newProblems()
		tr.validate(e)
		assert.ErrorContains(t, e.err("transform"), want)
	}
}
