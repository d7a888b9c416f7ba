package plan

import (
	"maps"
	"slices"
	"strings"
)

func (r *Recipe) validate(e problems) {
	r.Loss.validate(e.in("loss"))
	single := r.Loss.Voxel == Focal && (r.Loss.Sigmoid || r.Loss.Foreground)
	e.need(!single || r.DeepSupervision.FullResolution || r.DeepSupervision.Heads == 1, "loss: %s with sigmoid or foreground wants all heads at the full resolution: deep_supervision with full_resolution, or heads 1", Focal)
	r.Optimizer.validate(e.in("optimizer"))
	r.Schedule.validate(e.in("schedule"))
	e.need(r.Schedule.MinRate <= r.Optimizer.LearningRate, "schedule: min_rate is %v, wanted at most the learning_rate, %v", r.Schedule.MinRate, r.Optimizer.LearningRate)
	d := e.in("deep_supervision")
	between(d, "heads", r.DeepSupervision.Heads, 0, maxStages)
	between(d, "decay", r.DeepSupervision.Decay, 1e-3, 10)
	between(e, "oversample", r.Oversample, 0, 1)
	e.need(slices.Contains([]string{"", ByComponent, ByChance}, r.OversampleBy), "oversample_by is %q, wanted nothing, %s or %s", r.OversampleBy, ByComponent, ByChance)
	e.need(slices.Contains([]string{"", Cubic, NearestLabels}, r.Interpolation), "interpolation is %q, wanted nothing (linear), %s or %s", r.Interpolation, Cubic, NearestLabels)
	e.need(len(r.Augmentation) <= maxTransforms, "augmentation has %d transforms, wanted at most %d", len(r.Augmentation), maxTransforms)
	for i, t := range r.Augmentation {
		t.validate(e.in("augmentation[%d] %q", i, t.Op))
	}
	n := e.in("inference")
	between(n, "step", r.Inference.Step, minStep, 1)
	oneOf(n, "blend", r.Inference.Blend, BlendGaussian, BlendConstant)
	if r.Inference.Blend == BlendGaussian {
		between(n, "sigma", r.Inference.Sigma, minStep, maxFactor)
	}
}

// between wants a number from lo to hi.
func between[T int | float64](e problems, what string, v, lo, hi T) {
	e.need(v >= lo && v <= hi, "%s is %v, wanted %v to %v", what, v, lo, hi)
}

func (l Loss) validate(e problems) {
	oneOf(e, "voxel", l.Voxel, CrossEntropy, BinaryCrossEntropy, Focal, TopK)
	between(e, "voxel_weight", l.VoxelWeight, 0, maxWeight)
	between(e, "dice_weight", l.DiceWeight, 0, maxWeight)
	between(e, "smooth", l.Smooth, 0, maxWeight)
	between(e, "gamma", l.Gamma, 0, maxFactor)
	e.need((l.Voxel == TopK) == (l.TopK != 0) && probability(l.TopK), "top_k is %v, wanted more than 0, at most 1, for the voxel loss %q, and nothing for others", l.TopK, TopK)
	e.need(l.Smoothing == 0 || l.Smoothing > 0 && l.Smoothing < 1 && (l.Voxel == CrossEntropy || l.Voxel == TopK) && len(l.ClassWeights) == 0, "smoothing is %v with the voxel loss %q and class_weights %v, wanted 0 to below 1, of %q or %q, and without weights", l.Smoothing, l.Voxel, l.ClassWeights, CrossEntropy, TopK)
	sum := 0.0
	for _, w := range l.ClassWeights {
		sum += w
		between(e, "class_weights: one", w, 0, maxWeight)
	}
	e.need(len(l.ClassWeights) == 0 || sum > 0 && l.Voxel == CrossEntropy && l.VoxelWeight > 0, "class_weights are %v with the voxel loss %q of weight %v, wanted %q, a weight above 0, and one of them above 0", l.ClassWeights, l.Voxel, l.VoxelWeight, CrossEntropy)
	e.need(l.VoxelWeight+l.DiceWeight > 0, "voxel_weight and dice_weight are both 0: nothing to learn")
}

func (o Optimizer) validate(e problems) {
	oneOf(e, "kind", o.Kind, SGD, Adam, AdamW, Adan)
	e.need(o.LearningRate > 0 && o.LearningRate <= maxFactor, "learning_rate is %v, wanted above 0, at most %v", o.LearningRate, maxFactor)
	between(e, "weight_decay", o.WeightDecay, 0, 1)
	between(e, "clip_norm", o.ClipNorm, 0, maxWeight)
	below1(e, "beta3", o.Beta3)
	e.need((o.Kind == Adan) == (o.Beta3 > 0), "beta3 is %v, wanted above 0 for %q, and nothing for others", o.Beta3, Adan)
	if o.Kind == SGD {
		below1(e, "momentum", o.Momentum)
		return
	}
	below1(e, "beta1", o.Beta1)
	below1(e, "beta2", o.Beta2)
	e.need(o.Epsilon > 0 && o.Epsilon <= 1, "epsilon is %v, wanted above 0, at most 1", o.Epsilon)
}

// below1 wants a number from 0 to below 1.
func below1(e problems, what string, v float64) {
	e.need(v >= 0 && v < 1, "%s is %v, wanted 0 to below 1", what, v)
}

func (s Schedule) validate(e problems) {
	oneOf(e, "kind", s.Kind, Poly, Cosine, Constant)
	between(e, "epochs", s.Epochs, 1, maxSteps)
	between(e, "iterations", s.Iterations, 1, maxSteps)
	between(e, "val_iterations", s.ValIterations, 0, maxSteps)
	between(e, "patience", s.Patience, 0, maxSteps)
	between(e, "period", s.Period, 0, maxSteps)
	between(e, "warmup", s.Warmup, 0, maxSteps)
	e.need(s.Warmup < s.Epochs, "warmup is %d, wanted fewer than the %d epochs", s.Warmup, s.Epochs)
	between(e, "power", s.Power, 0, maxFactor)
	between(e, "min_rate", s.MinRate, 0, maxFactor)
}

// bound says between which numbers a range of a transform lies.
type bound struct {
	name   string
	lo, hi float64
}

// ops lists the transforms with the ranges that each must have, and their bounds: far
// beyond what the originals use, but values that a network can learn from.
func ops() map[string][]bound {
	angle := bound{"angle", -360, 360}                          // degrees
	sigma1 := []bound{{"sigma", 0, 1e4}}                        // of intensities; those of a CT that are not normalised are thousands
	bell := []bound{{"scale", 1e-3, 100}, {"place", -100, 100}} // of a patch's edge
	below, above := bound{"below", 1 / maxFactor, maxFactor}, bound{"above", 1 / maxFactor, maxFactor}
	change := []bound{below, above}
	return map[string][]bound{
		Rotation: {angle}, Scaling: {{"scale", 0.1, 10}}, Noise: sigma1, Blur: {{"sigma", 0, maxBlur}},
		Brightness: change, Contrast: change, ContrastZero: change, LowRes: {{"scale", 1 / maxFactor, 1}},
		GammaInverted: change, Gamma: change, Mirror: nil, Rotation90: nil, Transposition: nil,
		Median: {{"size", 1, maxWindow}}, Sharpening: {{"strength", 0, maxFactor}}, Shift: sigma1, ContrastOpen: change,
		BlankBoxes: {{"count", 1, maxBoxes}, {"edge", 0, 1}},
		Gradient:   slices.Concat(bell, []bound{{"below", -1e4, 0}, {"above", 0, 1e4}}),
		LocalGamma: slices.Concat(bell, change),
		Elastic:    {{"sigma", 0, 1}, {"magnitude", 0, maxEdge}}, Morphology: {{"radius", 1, maxKernel}}, Removal: {{"share", 0, 1}},
	}
}

func (t Transform) validate(e problems) {
	bounds, known := ops()[t.Op]
	if !e.need(known, "the op is unknown") {
		return
	}
	between(e, "p", t.P, 0, 1)
	between(e, "p_channel", t.PChannel, 0, 1)
	between(e, "p_axis", t.PAxis, 0, 1)
	e.need(t.PAxis == 0 || t.Op == Rotation, "p_axis is of %s only", Rotation)
	e.need(t.Draw == "" || t.Draw == EachAxis && t.Op == Scaling || t.Draw == AllAxes && t.Op == Blur, "draw is %q, wanted %s of %s, %s of %s, or nothing", t.Draw, EachAxis, Scaling, AllAxes, Blur)
	e.need(t.Choice == "" || !InSpace(t.Op) && !OnPrevious(t.Op), "choice is %q, wanted nothing: only what changes intensities is chosen from", t.Choice)
	if _, whole := t.Ranges["angle_3d"]; whole && t.Op == Rotation {
		edge := bound{"long", 0, maxEdge} // of sides
		bounds = []bound{bounds[0], bounds[0], bounds[0], edge, edge}
		bounds[0].name, bounds[1].name, bounds[2].name, bounds[4].name = "angle_3d", "angle_2d", "angle_2d_long", "planar"
	}
	if _, ok := t.Ranges["factor"]; ok && (t.Op == Brightness || t.Op == Contrast || t.Op == ContrastZero) {
		bounds = []bound{{"factor", 1 / maxFactor, maxFactor}}
	}
	if _, ok := t.Ranges["room"]; ok && t.Op == Scaling {
		bounds = append(bounds, bound{"room", 0.1, 1})
	}
	for _, b := range bounds {
		r, ok := t.Ranges[b.name]
		if e.need(ok, "the range %q is missing, wanted low, high between %v and %v", b.name, b.lo, b.hi) {
			e.need(r[0] >= b.lo && r[1] <= b.hi && r[0] <= r[1], "%s is %v, wanted low, high between %v and %v", b.name, r, b.lo, b.hi)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(t.Ranges)) {
		known := slices.ContainsFunc(bounds, func(b bound) bool { return b.name == n })
		e.need(known, "the range %q is unknown", n)
	}
}

const (
	maxSteps      = 1_000_000 // epochs, and steps of an epoch
	minStep       = 0.01      // of the sliding window: a hundredth of the patch
	maxWeight     = 1e6       // of parts of a loss: sums stay far from the end of float32
	maxFactor     = 100.0     // and, upside down, the smallest factor
	maxWindow     = 9         // voxels along an axis of a median; the original has 7
	maxBoxes      = 64
	maxTransforms = 256
	maxBlur       = 64 // voxels; a blur sums over six of them along each axis, the originals have 1.5 at most
)

func oneOf(e problems, what, v string, choice ...string) {
	e.need(slices.Contains(choice, v), "%s is %q, wanted one of %s", what, v, strings.Join(choice, ", "))
}

func probability(p float64) bool { return p >= 0 && p <= 1 }
