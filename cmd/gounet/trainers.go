package main

import (
	"cmp"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/plan"
)

// trainer is what one of nnU-Net's trainer classes does otherwise than nnUNetTrainer:
// flags as they would be typed, and values of the plan that have no flag.
type trainer struct {
	epochs, warmup                  int
	loss, schedule, optimizer       string
	augmentation                    string
	smoothing, rate                 float64
	noAugment, noMirror, onlyMirror bool // onlyMirror: along the first two axes of a volume, the first of a picture
	change                          func(c *plan.Configuration, r *plan.Recipe)
}

// trainers are nnU-Net's, by the ends of their names behind nnUNetTrainer.
//
// Source: nnunetv2 2.8, training/nnUNetTrainer/variants.
var trainers = map[string]trainer{
	"":                               {},
	"NoMirroring":                    {noMirror: true},
	"_onlyMirror01":                  {onlyMirror: true},
	"_onlyMirror01_1500ep":           {onlyMirror: true, epochs: 1500},
	"_onlyMirror01_DASegOrd0":        {onlyMirror: true, change: nearestLabels},
	"_DASegOrd0":                     {change: nearestLabels},
	"_DASegOrd0_NoMirroring":         {noMirror: true, change: nearestLabels},
	"NoDA":                           {noAugment: true, noMirror: true},
	"_noDummy2DDA":                   {change: noDummy2D},
	"CELoss":                         {loss: "ce"},
	"CELoss_5epochs":                 {loss: "ce", epochs: 5},
	"DiceLoss":                       {loss: "dice"},
	"DiceCELoss_noSmooth":            {loss: "dice-ce", change: func(_ *plan.Configuration, r *plan.Recipe) { r.Loss.Smooth = 0 }},
	"Topk10Loss":                     {loss: "topk"},
	"Topk10LossLS01":                 {loss: "topk", smoothing: 0.1},
	"DiceTopK10Loss":                 {loss: "dice-topk"},
	"CosAnneal":                      {schedule: plan.Cosine},
	"_warmup":                        {warmup: 50},
	"BN":                             {change: func(c *plan.Configuration, _ *plan.Recipe) { c.Network.Norm, c.Network.Groups = plan.BatchNorm, 0 }},
	"NoDeepSupervision":              {change: func(_ *plan.Configuration, r *plan.Recipe) { r.DeepSupervision.Heads = 1 }},
	"VanillaAdam":                    {optimizer: plan.Adam},
	"VanillaAdam1en3":                {optimizer: plan.Adam, rate: 1e-3},
	"VanillaAdam3en4":                {optimizer: plan.Adam, rate: 3e-4},
	"Adan":                           {optimizer: plan.Adan},
	"Adan1en1":                       {optimizer: plan.Adan, rate: 1e-1},
	"Adan1en3":                       {optimizer: plan.Adan, rate: 1e-3},
	"Adan3en4":                       {optimizer: plan.Adan, rate: 3e-4},
	"AdanCosAnneal":                  {optimizer: plan.Adan, schedule: plan.Cosine},
	"DA5":                            {augmentation: plan.AugmentDA5},
	"DA5Segord0":                     {augmentation: plan.AugmentDA5, change: nearestLabels},
	"DA5_10epochs":                   {augmentation: plan.AugmentDA5, epochs: 10},
	"_onlyMirror01_DA5":              {augmentation: plan.AugmentDA5, onlyMirror: true},
	"_probabilisticOversampling":     {change: func(c *plan.Configuration, r *plan.Recipe) { byChance(r, forced(c.Batch, r.Oversample)) }},
	"_probabilisticOversampling_033": {change: func(_ *plan.Configuration, r *plan.Recipe) { byChance(r, 0.33) }},
	"_probabilisticOversampling_010": {change: func(_ *plan.Configuration, r *plan.Recipe) { byChance(r, 0.1) }},
}

// instead are trainers that are not here, and what there is.
var instead = map[string]string{
	"Adam":                            amsgrad,
	"Adam1en3":                        amsgrad,
	"Adam3en4":                        amsgrad,
	"DA5ord0":                         "its images of nearest voxels are not here: nnUNetTrainerDA5, or nnUNetTrainerDA5Segord0, are nearest",
	"Benchmark_5epochs":               "gounet bench train times the steps of a network",
	"Benchmark_5epochs_noDataLoading": "gounet bench train times the steps of a network, with data that lie in memory",
}

const amsgrad = "its AMSGrad is not here: --optimizer adamw, or nnUNetTrainerVanillaAdam, are nearest"

func nearestLabels(_ *plan.Configuration, r *plan.Recipe) { r.Interpolation = plan.NearestLabels }

// noDummy2D lets flat patches be rotated in all planes.
func noDummy2D(_ *plan.Configuration, r *plan.Recipe) {
	const never = 1 << 14 // no patch is so much longer than deep
	for _, t := range r.Augmentation {
		if t.Op == plan.Rotation && t.Ranges["planar"] != (plan.Range{}) {
			t.Ranges["planar"] = plan.Range{never, never}
		}
	}
}

// dummy2D says whether patches are moved within their slices only.
func dummy2D(c *plan.Configuration, r plan.Recipe) bool {
	fitted := r.For(c).Augmentation
	i := slices.IndexFunc(fitted, func(t plan.Transform) bool { return t.Op == plan.Rotation })
	return i >= 0 && fitted[i].Axes == [3]bool{true, false, false}
}

func byChance(r *plan.Recipe, share float64) { r.OversampleBy, r.Oversample = plan.ByChance, share }

// forced is the share of a batch that nnU-Net, which takes the last ones, forces to hold
// foreground where share is wanted.
func forced(batch int, share float64) float64 {
	free := math.RoundToEven(float64(batch) * (1 - share))
	return (float64(batch) - free) / float64(batch)
}

// lengths are nnU-Net's trainers of so many epochs.
var lengths = regexp.MustCompile(`^_(\d{1,6})epochs?(_NoMirroring)?$`)

// trainerOf finds a trainer of nnU-Net by the name of its class.
func trainerOf(name string) (trainer, error) {
	end, ok := strings.CutPrefix(name, "nnUNetTrainer")
	if t, found := trainers[end]; ok && found {
		return t, nil
	}
	if m := lengths.FindStringSubmatch(end); ok && m != nil && m[1] != "0" {
		epochs, _ := strconv.Atoi(m[1]) // digits
		return trainer{epochs: epochs, noMirror: m[2] != ""}, nil
	}
	if other := instead[end]; other != "" {
		return trainer{}, usagef("--trainer %s: %s", name, other)
	}
	known := []string{"nnUNetTrainer_Nepochs", "nnUNetTrainer_Nepochs_NoMirroring"}
	for _, end := range slices.Sorted(maps.Keys(trainers)) {
		known = append(known, "nnUNetTrainer"+end)
	}
	return trainer{}, usagef("--trainer %q: wanted one of nnU-Net's: %s", name, strings.Join(known, ", "))
}

// as are the flags with those of --trainer where none was typed.
func (f *trainFlags) as() (trainFlags, trainer) {
	if f.trainer == "" {
		return *f, trainer{}
	}
	t, err := trainerOf(f.trainer)
	if err != nil { // check has said so
		return *f, trainer{}
	}
	with := *f
	with.epochs = cmp.Or(f.epochs, t.epochs)
	if f.warmup < 0 && t.warmup > 0 {
		with.warmup = t.warmup
	}
	with.loss, with.schedule, with.optimizer = cmp.Or(f.loss, t.loss), cmp.Or(f.schedule, t.schedule), cmp.Or(f.optimizer, t.optimizer)
	with.smoothing, with.rate = cmp.Or(f.smoothing, t.smoothing), cmp.Or(f.rate, t.rate)
	with.augmentation = cmp.Or(f.augmentation, t.augmentation)
	with.noAugment = f.noAugment || t.noAugment && f.augmentation == ""
	if f.noAugment {
		with.augmentation = ""
	}
	return with, t
}

// apply changes what has no flag.
func (t trainer) apply(c *plan.Configuration, r *plan.Recipe) {
	if t.noMirror || t.onlyMirror {
		allowed := [3]bool{t.onlyMirror, t.onlyMirror, false}
		r.Augmentation = slices.DeleteFunc(slices.Clone(r.Augmentation), func(s plan.Transform) bool { return s.Op == plan.Mirror && t.noMirror })
		for i := range r.Augmentation {
			if s := &r.Augmentation[i]; s.Op == plan.Mirror {
				both(&s.Axes, allowed)
			}
		}
		both(&r.Inference.Mirror, allowed)
	}
	if t.change != nil {
		t.change(c, r)
	}
}

// both leaves the axes that b has, too.
func both(axes *[3]bool, b [3]bool) {
	for a := range axes {
		axes[a] = axes[a] && b[a]
	}
}

// axesOf names axes, for people.
func axesOf(axes [3]bool) string {
	s := ""
	for a, on := range axes {
		if on {
			s += string("DHW"[a])
		}
	}
	return cmp.Or(s, "none")
}
