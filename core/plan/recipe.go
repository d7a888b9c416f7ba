package plan

import (
	"maps"
	"slices"
)

// Recipe is how a network is trained and used, as data. NNUNet has nnU-Net v2's.
type Recipe struct {
	Name            string          `json:"name"`
	Loss            Loss            `json:"loss"`
	Optimizer       Optimizer       `json:"optimizer"`
	Schedule        Schedule        `json:"schedule"`
	DeepSupervision DeepSupervision `json:"deep_supervision"`
	Oversample      float64         `json:"oversample"`                // share of a batch whose patches are forced to hold foreground
	OversampleBy    string          `json:"oversample_by,omitempty"`   // ByComponent, ByChance, or "": as nnU-Net does
	Interpolation   string          `json:"interpolation,omitempty"`   // of patches that are scaled, rotated or deformed: Cubic, NearestLabels, or "": linear
	SyncBatchNorm   bool            `json:"sync_batch_norm,omitempty"` // batch norms are over the samples of all ranks, else each rank has its own
	Augmentation    []Transform     `json:"augmentation"`
	Inference       Inference       `json:"inference"`
}

// Values of Recipe.OversampleBy: a coin of that weight decides for each patch, where nnU-Net
// takes the last ones of a batch.
const (
	ByComponent = "component" // patches that hold foreground do so by a connected component of a label
	ByChance    = "chance"    // by a voxel, as in nnU-Net: its nnUNetTrainer_probabilisticOversampling
)

// Cubic as Recipe.Interpolation: images by cubic convolution and the nearest labels, where
// nnU-Net has linear images and the labels of the largest linear weight.
const Cubic = "cubic"

// NearestLabels as Recipe.Interpolation: linear images and the nearest labels, as nnU-Net's
// nnUNetTrainer_DASegOrd0.
const NearestLabels = "nearest-labels"

// Values of Loss.Voxel.
const (
	CrossEntropy       = "ce"    // softmax over the labels
	BinaryCrossEntropy = "bce"   // sigmoid a region
	Focal              = "focal" // sigmoid focal loss, Gamma
	TopK               = "topk"  // softmax over the labels, of the share TopK of all voxels where it is the largest
)

// Loss is VoxelWeight times the mean loss of a voxel plus DiceWeight times the
// soft Dice loss. Whether Dice runs over the batch is in the Configuration.
type Loss struct {
	Voxel          string  `json:"voxel"` // CrossEntropy …
	VoxelWeight    float64 `json:"voxel_weight"`
	DiceWeight     float64 `json:"dice_weight"`
	Smooth         float64 `json:"smooth"`                // added to numerator and denominator of Dice
	DiceBackground bool    `json:"dice_background"`       // Dice counts the background too
	SumRegions     bool    `json:"sum_regions,omitempty"` // regions are added up, not averaged
	Sigmoid        bool    `json:"sigmoid,omitempty"`     // of Focal over labels: a sigmoid of each without the background's, as NVIDIA's; Dice keeps the softmax
	Foreground     bool    `json:"foreground,omitempty"`  // the same, and the softmax of Dice is without the background's logit too, as in MONAI 1.0
	Gamma          float64 `json:"gamma,omitempty"`       // of Focal

	TopK         float64   `json:"top_k,omitempty"`         // of TopK; nnU-Net's is 0.1
	Smoothing    float64   `json:"smoothing,omitempty"`     // of CrossEntropy and TopK: share of a label that is spread over all labels; that of nnU-Net's LS01 trainers is 0.1
	ClassWeights []float64 `json:"class_weights,omitempty"` // of CrossEntropy, a label each, background first; none: all 1
}

// Values of Optimizer.Kind.
const (
	SGD   = "sgd"
	Adam  = "adam"
	AdamW = "adamw" // weight decay apart from the gradient
	Adan  = "adan"  // with the moments of the change of gradients: that of nnU-Net's nnUNetTrainerAdan
)

// Optimizer is the rule of a step.
type Optimizer struct {
	Kind         string  `json:"kind"` // SGD …
	LearningRate float64 `json:"learning_rate"`
	Momentum     float64 `json:"momentum"` // SGD
	Nesterov     bool    `json:"nesterov"` // SGD
	WeightDecay  float64 `json:"weight_decay"`
	Beta1        float64 `json:"beta1"`           // Adam, AdamW, Adan: the share of a moment that stays
	Beta2        float64 `json:"beta2"`           // Adam, AdamW, Adan
	Beta3        float64 `json:"beta3,omitempty"` // Adan
	Epsilon      float64 `json:"epsilon"`         // Adam, AdamW, Adan
	ClipNorm     float64 `json:"clip_norm"`       // largest norm of the whole gradient, 0: no limit
}

// Use changes the rule to kind. Betas go with it where Adan, which has others, begins or ends.
func (o *Optimizer) Use(kind string) {
	switch {
	case kind == Adan && o.Kind != Adan:
		o.Beta1, o.Beta2, o.Beta3 = 0.98, 0.92, 0.99 // adan-pytorch's (0.02, 0.08, 0.01) are 1 − β
	case kind != Adan && o.Kind == Adan:
		o.Beta1, o.Beta2, o.Beta3 = 0.9, 0.999, 0
	}
	o.Kind = kind
}

// Values of Schedule.Kind.
const (
	Poly     = "poly"     // rate·(1 − epoch/Epochs)^Power
	Cosine   = "cosine"   // from the rate to MinRate over Period epochs, then again
	Constant = "constant" // the rate
)

// Schedule is the length of the training and the learning rate of each epoch.
type Schedule struct {
	Kind          string  `json:"kind"` // Poly …
	Power         float64 `json:"power,omitempty"`
	MinRate       float64 `json:"min_rate"`
	Period        int     `json:"period,omitempty"` // epochs of one cosine, 0: all
	Warmup        int     `json:"warmup,omitempty"` // epochs in which the rate rises to its value, before the rest begins
	Epochs        int     `json:"epochs"`
	Iterations    int     `json:"iterations"`     // training steps an epoch
	ValIterations int     `json:"val_iterations"` // validation batches an epoch
	Patience      int     `json:"patience"`       // epochs without a better validation before it stops, 0: never
}

// DeepSupervision weighs the heads below the full resolution: Decay to the power
// of the level, so that all sum to 1.
type DeepSupervision struct {
	Heads          int     `json:"heads"` // outputs with a loss, the full resolution included; 0: all, 1: no deep supervision
	Decay          float64 `json:"decay"`
	FullResolution bool    `json:"full_resolution,omitempty"` // heads are brought to the full resolution, instead of labels to theirs
	DropLowest     bool    `json:"drop_lowest"`               // the lowest resolution of the decoder gets no loss, as in nnU-Net; never the only one
}

// Weights returns the weight of each head from the full resolution down, for a
// network of that many stages; they sum to 1. A head without a loss has weight 0.
func (s DeepSupervision) Weights(stages int) []float64 {
	n := max(stages-1, 1)
	w := make([]float64, n)
	used := n
	if s.DropLowest && n > 1 {
		used--
	}
	if s.Heads > 0 {
		used = min(used, s.Heads)
	}
	sum, v := 0.0, 1.0
	for i := range used {
		w[i] = v
		sum += v
		v *= s.Decay
	}
	for i := range used {
		w[i] /= sum
	}
	return w
}

// Values of Transform.Op, with the names of their ranges.
const (
	Rotation      = "rotation"       // angle_3d, angle_2d, angle_2d_long (degrees), long, planar → For → angle; PAxis
	Scaling       = "scaling"        // scale: one factor for all axes; above 1 shows more of the scan. room: the smallest that crops allow for, 0.85 without
	Rotation90    = "rotation_90"    // 0 to 3 quarter turns in a plane of two of its axes, which For chooses: those of the most common size
	Transposition = "transposition"  // any order of these axes
	Noise         = "noise"          // sigma of Gaussian noise
	Blur          = "blur"           // sigma in voxels, drawn for each axis
	Median        = "median"         // size: of the window, whole voxels
	Sharpening    = "sharpening"     // strength: of the negative Laplacian
	Brightness    = "brightness"     // factor; or below, above: one of the two by a coin, then a factor of it
	Contrast      = "contrast"       // the same, factor around the mean, range kept
	ContrastZero  = "contrast_zero"  // the same, factor around 0, range kept
	ContrastOpen  = "contrast_open"  // the same, factor around the mean, range not kept
	Shift         = "shift"          // sigma: of a normal distribution, of which the number is that is added
	LowRes        = "low_resolution" // scale: nearest down, linear up
	GammaInverted = "gamma_inverted" // below, above: exponent, of the inverted image; mean and std kept
	Gamma         = "gamma"          // below, above: exponent; mean and std kept
	BlankBoxes    = "blank_boxes"    // count, edge: as a share of the patch's, whole voxels, the upper end excluded; boxes become their mean
	Gradient      = "gradient"       // below, above: strength of a bell that is added; scale and place of it as shares of the patch's edge, for each axis, scale by its logarithm
	LocalGamma    = "local_gamma"    // the same, exponent within the bell
	Mirror        = "mirror"         // none: P is of each axis
	Elastic       = "elastic"        // sigma of the waves as a share of the patch's edge, magnitude: largest displacement in voxels; drawn for each axis, sigma once if Shared

	// Of the labels of a cascade's previous stage, whose channels are labels.
	Morphology = "previous_morphology" // radius in voxels of a ball: a label is dilated, eroded, opened or closed
	Removal    = "previous_removal"    // share: a component of a label vanishes that is smaller than this share of the patch
)

// OnPrevious says whether op changes the labels of a cascade's previous stage.
func OnPrevious(op string) bool { return op == Morphology || op == Removal }

// Range is a closed interval of a uniform draw; equal ends are a constant.
type Range [2]float64

// Transform is a step of augmentation.
type Transform struct {
	Op       string           `json:"op"`               // Rotation …
	P        float64          `json:"p"`                // probability for a sample (Mirror: for an axis)
	PChannel float64          `json:"p_channel"`        // then for each channel
	Shared   bool             `json:"shared"`           // all channels get the same draw
	Axes     [3]bool          `json:"axes"`             // D H W: mirrored, scaled, blurred along them, rotated about them
	PAxis    float64          `json:"p_axis,omitempty"` // of Rotation, then for each axis; 0: all of them
	Draw     string           `json:"draw,omitempty"`   // EachAxis of Scaling, AllAxes of Blur; "": as the op says
	Choice   string           `json:"choice,omitempty"` // of the transforms with this name one is chosen for a sample, all equally often, and fires or not
	Ranges   map[string]Range `json:"ranges,omitempty"`
}

// Values of Transform.Draw.
const (
	EachAxis = "each" // axes get draws of their own
	AllAxes  = "all"  // axes get the same draw
)

// InSpace says whether op moves voxels: such transforms are one Warp.
func InSpace(op string) bool {
	return slices.Contains([]string{Rotation, Scaling, Rotation90, Transposition, Mirror, Elastic}, op)
}

// Values of Inference.Blend.
const (
	BlendGaussian = "gaussian"
	BlendConstant = "constant"
)

// Inference is how a scan is covered with patches and put together.
type Inference struct {
	Step   float64 `json:"step"`   // largest move between patches, in patches
	Blend  string  `json:"blend"`  // weight of a voxel in its patch
	Sigma  float64 `json:"sigma"`  // BlendGaussian: in patches
	Mirror [3]bool `json:"mirror"` // D H W: axes of test-time mirroring
}

// IsElastic says whether t deforms patches at all.
func (t Transform) IsElastic() bool { return t.Op == Elastic && t.P > 0 }

// NNUNet is the recipe of nnU-Net v2's default trainer for images of dim 2 or 3.
// One of dim 3 serves all configurations of a plan: For fits it to each.
func NNUNet(dim int) Recipe {
	all := [3]bool{dim == 3, true, true}
	factor := map[string]Range{"below": {0.75, 1}, "above": {1, 1.25}}
	gamma := map[string]Range{"below": {0.7, 1}, "above": {1, 1.5}}
	return Recipe{
		Name:            RecipeNNUNet,
		Loss:            Loss{Voxel: CrossEntropy, VoxelWeight: 1, DiceWeight: 1, Smooth: 1e-5},
		Optimizer:       Optimizer{Kind: SGD, LearningRate: 0.01, Momentum: 0.99, Nesterov: true, WeightDecay: 3e-5, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, ClipNorm: 12},
		Schedule:        Schedule{Kind: Poly, Power: 0.9, Epochs: 1000, Iterations: 250, ValIterations: 50},
		DeepSupervision: DeepSupervision{Decay: 0.5, DropLowest: true},
		Oversample:      0.33,
		SyncBatchNorm:   true, // its DDP converts them to torch's SyncBatchNorm
		Augmentation: []Transform{
			{Op: Rotation, P: 0.2, PChannel: 1, Shared: true, Axes: all, Ranges: map[string]Range{
				"angle_3d": {-30, 30}, "angle_2d": {-180, 180}, "angle_2d_long": {-15, 15},
				"long": {1.5, 1.5}, "planar": {3, 3},
			}},
			{Op: Scaling, P: 0.2, PChannel: 1, Shared: true, Axes: all, Ranges: map[string]Range{"scale": {0.7, 1.4}}},
			{Op: Noise, P: 0.1, PChannel: 1, Shared: true, Axes: all, Ranges: map[string]Range{"sigma": {0, 0.1}}},
			{Op: Blur, P: 0.2, PChannel: 0.5, Axes: all, Ranges: map[string]Range{"sigma": {0.5, 1}}},
			{Op: Brightness, P: 0.15, PChannel: 1, Axes: all, Ranges: factor},
			{Op: Contrast, P: 0.15, PChannel: 1, Axes: all, Ranges: maps.Clone(factor)},
			{Op: LowRes, P: 0.25, PChannel: 0.5, Axes: all, Ranges: map[string]Range{"scale": {0.5, 1}}},
			{Op: GammaInverted, P: 0.1, PChannel: 1, Axes: all, Ranges: gamma},
			{Op: Gamma, P: 0.3, PChannel: 1, Axes: all, Ranges: maps.Clone(gamma)},
			{Op: Mirror, P: 0.5, PChannel: 1, Shared: true, Axes: all},
			{Op: Morphology, P: 0.4, PChannel: 0.5, Axes: all, Ranges: map[string]Range{"radius": {1, 8}}},
			{Op: Removal, P: 0.2, PChannel: 0.5, Axes: all, Ranges: map[string]Range{"share": {0, 0.15}}},
		},
		Inference: Inference{Step: 0.5, Blend: BlendGaussian, Sigma: 0.125, Mirror: all},
	}
}

// Clone returns a copy of r that shares nothing with it.
func (r Recipe) Clone() Recipe {
	r.Augmentation = slices.Clone(r.Augmentation)
	r.Loss.ClassWeights = slices.Clone(r.Loss.ClassWeights)
	for i := range r.Augmentation {
		r.Augmentation[i].Ranges = maps.Clone(r.Augmentation[i].Ranges)
	}
	return r
}

// For returns r fitted to the patch of c by nnU-Net's rules. A 2-D configuration
// leaves D alone. So does augmentation in space where the longest side of a 3-D
// patch is more than planar times its D ("dummy 2-D"). Rotation then has one
// range, angle in degrees about each of its Axes: angle_3d; in the plane
// angle_2d, or angle_2d_long where a 2-D patch is longer than long times its width.
// What changes the labels of a previous stage is left out where there is none, and quarter
// turns and transpositions where no two axes of the patch have one size.
func (r Recipe) For(c *Configuration) Recipe {
	r = r.Clone()
	longest := float64(max(c.Patch[0], c.Patch[1], c.Patch[2]))
	flat := c.Dim == 2
	if c.Previous == "" {
		r.Augmentation = slices.DeleteFunc(r.Augmentation, func(t Transform) bool { return OnPrevious(t.Op) })
	}
	equal, two := equalAxes(c)
	if !two {
		r.Augmentation = slices.DeleteFunc(r.Augmentation, turns)
	}
	for i := range r.Augmentation {
		t := &r.Augmentation[i]
		switch {
		case turns(*t):
			t.Axes = equal
		case t.Op == Rotation:
			r.planar(c, longest, i)
		case flat:
			t.Axes[0] = false
		}
	}
	if flat {
		r.Inference.Mirror[0] = false
	}
	return r
}

// planar fits the rotation at index i, and the scaling and low resolution with it, to c.
func (r Recipe) planar(c *Configuration, longest float64, i int) {
	t := &r.Augmentation[i]
	angle, ok := t.Ranges["angle_3d"]
	if !ok {
		return // fitted already, or a recipe with one angle
	}
	switch {
	case c.Dim == 2:
		angle = t.Ranges["angle_2d"]
		if longest/float64(min(c.Patch[1], c.Patch[2])) > t.Ranges["long"][0] {
			angle = t.Ranges["angle_2d_long"]
		}
		t.Axes = [3]bool{true, false, false}
	case longest/float64(c.Patch[0]) > t.Ranges["planar"][0]:
		angle = t.Ranges["angle_2d"]
		t.Axes = [3]bool{true, false, false}
		for j := range r.Augmentation {
			if op := r.Augmentation[j].Op; op == Scaling || op == LowRes || op == Elastic {
				r.Augmentation[j].Axes[0] = false
			}
		}
	}
	t.Ranges = map[string]Range{"angle": angle}
}
