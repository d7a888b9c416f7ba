package plan

import (
	"maps"
	"slices"
	"strings"
)

func (r *Recipe) validate(e problems) {
	r.Loss.validate(e.in("loss"))
	e.need(!r.Loss.Foreground || r.DeepSupervision.FullResolution || r.DeepSupervision.Heads == 1, "loss: foreground wants all heads at the full resolution: deep_supervision with full_resolution, or heads 1")
	r.Optimizer.validate(e.in("optimizer"))
	r.Schedule.validate(e.in("schedule"))
	e.need(r.Schedule.MinRate <= r.Optimizer.LearningRate, "schedule: min_rate is %v, wanted at most the learning_rate, %v", r.Schedule.MinRate, r.Optimizer.LearningRate)
	d := r.DeepSupervision
	e.need(d.Heads >= 0 && finite(d.Decay) && d.Decay > 0, "deep_supervision: heads is %d and decay %v, wanted ≥ 0 and > 0", d.Heads, d.Decay)
	e.need(probability(r.Oversample), "oversample is %v, wanted 0 to 1", r.Oversample)
	e.need(r.OversampleBy == "" || r.OversampleBy == ByComponent, "oversample_by is %q, wanted nothing or %s", r.OversampleBy, ByComponent)
	for i, t := range r.Augmentation {
		t.validate(e.in("augmentation[%d] %q", i, t.Op))
	}
	n := r.Inference
	e.need(n.Step >= minStep && n.Step <= 1, "inference: step is %v, wanted %v to 1", n.Step, minStep)
	oneOf(e.in("inference"), "blend", n.Blend, BlendGaussian, BlendConstant)
	e.need(n.Blend != BlendGaussian || positive(n.Sigma), "inference: sigma is %v, wanted > 0", n.Sigma)
}

func (l Loss) validate(e problems) {
	oneOf(e, "voxel", l.Voxel, CrossEntropy, BinaryCrossEntropy, Focal, TopK)
	ok := finite(l.VoxelWeight, l.DiceWeight, l.Smooth, l.Gamma) && min(l.VoxelWeight, l.DiceWeight, l.Smooth, l.Gamma) >= 0
	e.need(ok, "voxel_weight %v, dice_weight %v, smooth %v, gamma %v: wanted ≥ 0", l.VoxelWeight, l.DiceWeight, l.Smooth, l.Gamma)
	e.need((l.Voxel == TopK) == (l.TopK != 0) && probability(l.TopK), "top_k is %v, wanted more than 0, at most 1, for the voxel loss %q, and nothing for others", l.TopK, TopK)
	sum := 0.0
	for _, w := range l.ClassWeights {
		sum += w
		e.need(finite(w) && w >= 0, "class_weights: %v, wanted ≥ 0", w)
	}
	e.need(len(l.ClassWeights) == 0 || sum > 0 && l.Voxel == CrossEntropy && l.VoxelWeight > 0, "class_weights are %v with the voxel loss %q of weight %v, wanted %q, a weight above 0, and one of them above 0", l.ClassWeights, l.Voxel, l.VoxelWeight, CrossEntropy)
	e.need(l.VoxelWeight+l.DiceWeight > 0, "voxel_weight and dice_weight are both 0: nothing to learn")
}

func (o Optimizer) validate(e problems) {
	oneOf(e, "kind", o.Kind, SGD, Adam, AdamW)
	e.need(positive(o.LearningRate), "learning_rate is %v, wanted > 0", o.LearningRate)
	e.need(finite(o.WeightDecay, o.ClipNorm) && o.WeightDecay >= 0 && o.WeightDecay <= 1 && o.ClipNorm >= 0, "weight_decay is %v and clip_norm %v, wanted 0 to 1 and ≥ 0", o.WeightDecay, o.ClipNorm)
	if o.Kind == SGD {
		e.need(o.Momentum >= 0 && o.Momentum < 1, "momentum is %v, wanted 0 to below 1", o.Momentum)
		return
	}
	for _, b := range []float64{o.Beta1, o.Beta2} {
		e.need(b >= 0 && b < 1, "beta1 is %v and beta2 %v, wanted 0 to below 1", o.Beta1, o.Beta2)
	}
	e.need(positive(o.Epsilon), "epsilon is %v, wanted > 0", o.Epsilon)
}

func (s Schedule) validate(e problems) {
	oneOf(e, "kind", s.Kind, Poly, Cosine, Constant)
	e.need(min(s.Epochs, s.Iterations) >= 1 && max(s.Epochs, s.Iterations) <= maxSteps, "epochs is %d and iterations %d, wanted 1 to %d", s.Epochs, s.Iterations, maxSteps)
	counts := []int{s.ValIterations, s.Patience, s.Period, s.Warmup}
	e.need(slices.Min(counts) >= 0 && slices.Max(counts) <= maxSteps, "val_iterations, patience, period, warmup are %v: wanted 0 to %d", counts, maxSteps)
	e.need(s.Warmup < s.Epochs, "warmup is %d, wanted fewer than the %d epochs", s.Warmup, s.Epochs)
	e.need(finite(s.Power, s.MinRate) && s.Power >= 0 && s.MinRate >= 0, "power is %v and min_rate %v, wanted ≥ 0", s.Power, s.MinRate)
}

// ops lists the transforms with the ranges that each must have.
func ops() map[string][]string {
	return map[string][]string{
		Rotation: nil, Scaling: {"scale"}, Noise: {"sigma"}, Blur: {"sigma"},
		Brightness: {"below", "above"}, Contrast: {"below", "above"}, ContrastZero: {"below", "above"}, LowRes: {"scale"},
		GammaInverted: {"below", "above"}, Gamma: {"below", "above"}, Mirror: nil,
		Elastic: {"sigma", "magnitude"}, Morphology: {"radius"}, Removal: {"share"},
	}
}

func (t Transform) validate(e problems) {
	names, known := ops()[t.Op]
	if !e.need(known, "the op is unknown") {
		return
	}
	e.need(probability(t.P) && probability(t.PChannel), "p is %v and p_channel %v, wanted 0 to 1", t.P, t.PChannel)
	if t.Op == Rotation {
		names = []string{"angle"}
		if _, whole := t.Ranges["angle_3d"]; whole {
			names = []string{"angle_3d", "angle_2d", "angle_2d_long", "long", "planar"}
		}
	}
	if _, ok := t.Ranges["factor"]; ok && (t.Op == Brightness || t.Op == Contrast || t.Op == ContrastZero) {
		names = []string{"factor"}
	}
	for _, n := range names {
		_, ok := t.Ranges[n]
		e.need(ok, "the range %q is missing", n)
	}
	for _, n := range slices.Sorted(maps.Keys(t.Ranges)) {
		r := t.Ranges[n]
		e.need(slices.Contains(names, n), "the range %q is unknown, there are %s", n, strings.Join(names, ", "))
		e.need(finite(r[0], r[1]) && r[0] <= r[1], "%s is %v, wanted low, high", n, r)
		e.need(r[0] > 0 || n != "scale" && n != "factor" && n != "below" && n != "above", "%s is %v, wanted > 0", n, r)
		e.need(r[0] >= 0 || n != "sigma" && n != "share" && n != "magnitude", "%s is %v, wanted ≥ 0", n, r)
		e.need(n != "sigma" || t.Op != Elastic || r[1] <= 1, "%s is %v, wanted at most 1, the edge of the patch", n, r)
		e.need(n != "sigma" || t.Op != Blur || r[1] <= maxBlur, "%s is %v, wanted at most %d voxels: a blur sums over six of them along each axis", n, r, maxBlur)
		e.need(n != "radius" || r[0] >= 1 && r[1] <= maxKernel, "%s is %v, wanted 1 to %d", n, r, maxKernel)
	}
}

const (
	maxSteps = 1_000_000 // epochs, and steps of an epoch
	minStep  = 0.01      // of the sliding window: a hundredth of the patch
)

// maxBlur bounds the time of a blur: the originals have 1.5 voxels at most.
const maxBlur = 64

func oneOf(e problems, what, v string, choice ...string) {
	e.need(slices.Contains(choice, v), "%s is %q, wanted one of %s", what, v, strings.Join(choice, ", "))
}

func probability(p float64) bool { return p >= 0 && p <= 1 }
