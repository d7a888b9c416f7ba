package plan

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// Recipes of Options.
const (
	RecipeNNUNet = "nnunetv2"
	RecipeNVIDIA = "nvidia"
)

// RecipeNames lists the values of Options.Recipe.
func RecipeNames() []string { return []string{RecipeNNUNet, RecipeNVIDIA} }

// task is a line of NVIDIA's table of the Medical Segmentation Decathlon.
type task struct {
	name    string // what stands behind the number
	patch   [3]int
	plane   [2]int
	spacing [3]float64 // mm
	ct      *ctRange
}

type ctRange struct{ lower, upper, mean, std float64 } // HU

// tasks are those of NVIDIA's data_preprocessing/configs.py. The patches of 11 and 12
// in the plane are those of 01, which is of the same scans.
func tasks() map[string]task {
	return map[string]task{
		"01": {"BrainTumour", [3]int{128, 128, 128}, [2]int{192, 160}, [3]float64{1, 1, 1}, nil},
		"02": {"Heart", [3]int{80, 192, 160}, [2]int{320, 256}, [3]float64{1.37, 1.25, 1.25}, nil},
		"03": {"Liver", [3]int{128, 128, 128}, [2]int{512, 512}, [3]float64{1, 0.7676, 0.7676}, &ctRange{-17, 201, 99.4, 39.36}},
		"04": {"Hippocampus", [3]int{40, 56, 40}, [2]int{56, 40}, [3]float64{1, 1, 1}, nil},
		"05": {"Prostate", [3]int{20, 320, 256}, [2]int{320, 320}, [3]float64{3.6, 0.62, 0.62}, nil},
		"06": {"Lung", [3]int{80, 192, 160}, [2]int{512, 512}, [3]float64{1.24, 0.79, 0.79}, &ctRange{-1024, 325, -158.58, 324.7}},
		"07": {"Pancreas", [3]int{40, 224, 224}, [2]int{512, 512}, [3]float64{2.5, 0.8, 0.8}, &ctRange{-96, 215, 77.9, 75.4}},
		"08": {"HepaticVessel", [3]int{64, 192, 192}, [2]int{512, 512}, [3]float64{1.5, 0.8, 0.8}, &ctRange{-3, 243, 104.37, 52.62}},
		"09": {"Spleen", [3]int{64, 192, 160}, [2]int{512, 512}, [3]float64{1.6, 0.79, 0.79}, &ctRange{-41, 176, 99.29, 39.47}},
		"10": {"Colon", [3]int{56, 192, 160}, [2]int{512, 512}, [3]float64{3, 0.78, 0.78}, &ctRange{-30, 165.82, 62.18, 32.65}},
		"11": {"BraTS2021_train", [3]int{128, 128, 128}, [2]int{192, 160}, [3]float64{1, 1, 1}, nil},
		"12": {"BraTS2021_val", [3]int{128, 128, 128}, [2]int{192, 160}, [3]float64{1, 1, 1}, nil},
	}
}

var taskName = regexp.MustCompile(`^(?:Task|Dataset)0*([0-9]{1,2})_(.+)$`)

// taskOf is the line of the table for a data set of that name.
func taskOf(dataset string) (task, bool) {
	m := taskName.FindStringSubmatch(dataset)
	if m == nil {
		return task{}, false
	}
	t, ok := tasks()[fmt.Sprintf("%02s", m[1])]
	return t, ok && strings.EqualFold(t.name, m[2])
}

// Rules of NVIDIA's networks.
const (
	dynDepth   = 5 // poolings at most
	dynMinEdge = 4 // voxels that a pooled axis keeps at least
	dynHeads   = 3 // outputs with a loss
)

// network is NVIDIA's network for a patch at spacing, on 2 or 3 axes: an axis is
// halved as long as it is large enough and at most twice as fine as the finest, and
// has kernels of 3 from there on. Its decoder has the kernels of the stage below.
func (o Dyn) network(patch []int, spacing []float64) (Network, error) {
	dim := len(patch)
	depth, minEdge := cmp.Or(o.Depth, dynDepth), float64(cmp.Or(o.MinEdge, dynMinEdge))
	size, sp := make([]float64, dim), slices.Clone(spacing)
	for a, p := range patch {
		size[a] = float64(p)
	}
	var kernels, strides [][]int
	for len(strides) < depth {
		stride, kernel := fill(dim, 1), fill(dim, 1)
		finest := slices.Min(sp)
		for a := range dim {
			if sp[a]/finest <= similar {
				kernel[a] = 3
				if size[a] >= 2*minEdge {
					stride[a] = 2
				}
			}
		}
		if slices.Max(stride) == 1 {
			break
		}
		for a := range dim {
			size[a] /= float64(stride[a])
			sp[a] *= float64(stride[a])
		}
		strides, kernels = append(strides, stride), append(kernels, kernel)
	}
	n := Network{Kind: first(o.Kind, Plain), UpBias: true, NormEps: 1e-5, Slope: 0.01, Heads: min(dynHeads, len(strides))}
	convs := 2
	switch n.Kind {
	case Strided:
		convs = 1 // block
	case PreNorm:
		n.UpBias, n.Slope = false, 0
		kernels[0] = fill(dim, 3)
	}
	features, err := o.features(dim, len(strides)+1)
	if err != nil {
		return n, err
	}
	n.Features = features
	kernels = append(kernels, fill(dim, 3))
	for l, k := range kernels {
		stride := fill(dim, 1)
		if l > 0 {
			stride = strides[l-1]
			n.DecoderKernels, n.DecoderConvs = append(n.DecoderKernels, cube(k, 1)), append(n.DecoderConvs, 2)
		}
		n.Kernels, n.Strides, n.Convs = append(n.Kernels, cube(k, 1)), append(n.Strides, cube(stride, 1)), append(n.Convs, convs)
	}
	if slices.Equal(n.DecoderKernels, n.Kernels[:len(strides)]) {
		n.DecoderKernels = nil
	}
	return n, nil
}

// features are those of a network of that many stages.
func (o Dyn) features(dim, stages int) ([]int, error) {
	list := o.Features
	if list == nil && o.Kind == PreNorm {
		list = []int{64, 128, 256, 512, 768, 1024, 2048} // NVIDIA's
	}
	for l := 0; o.Features == nil && o.Kind != PreNorm && l < stages; l++ {
		list = append(list, min(32<<l, MostFeatures(dim)))
	}
	if len(list) < stages {
		return nil, fmt.Errorf("features of %d stages, the network has %d: give more of them, or a smaller depth", len(list), stages)
	}
	return slices.Clone(list[:stages]), nil
}

// NVIDIA is the recipe of NVIDIA's nnU-Net for PyTorch (22.11). What is not its own:
// the range that contrast keeps is that of a channel; a zoom sees what lies around the part
// that it enlarges.
func NVIDIA(compat bool) Recipe {
	all := [3]bool{true, true, true}
	r := Recipe{
		Name:            RecipeNVIDIA,
		Loss:            Loss{Voxel: CrossEntropy, VoxelWeight: 1, DiceWeight: 1, Smooth: 1e-5},
		Optimizer:       Optimizer{Kind: AdamW, LearningRate: 8e-4, WeightDecay: 1e-4, Momentum: 0.99, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8},
		Schedule:        Schedule{Kind: Constant, Epochs: 300, Iterations: 100, ValIterations: 50},
		DeepSupervision: DeepSupervision{Heads: dynHeads, Decay: 0.5, FullResolution: true},
		Oversample:      0.4,
		OversampleBy:    ByComponent,
		Interpolation:   Cubic,
		Augmentation: []Transform{
			{Op: Scaling, P: 0.15, PChannel: 1, Shared: true, Axes: all, Ranges: map[string]Range{"scale": {0.7, 1}}},
			{Op: Mirror, P: 0.5, PChannel: 1, Shared: true, Axes: all},
			{Op: Noise, P: 0.15, PChannel: 1, Shared: true, Axes: all, Ranges: map[string]Range{"sigma": {0, 0.33}}},
			{Op: Blur, P: 0.15, PChannel: 1, Shared: true, Axes: all, Ranges: map[string]Range{"sigma": {0.5, 1.5}}},
			{Op: Brightness, P: 0.15, PChannel: 1, Shared: true, Axes: all, Ranges: map[string]Range{"factor": {0.7, 1.3}}},
			{Op: ContrastZero, P: 0.15, PChannel: 1, Shared: true, Axes: all, Ranges: map[string]Range{"factor": {0.65, 1.5}}},
		},
		Inference: Inference{Step: 0.75, Blend: BlendConstant, Sigma: 0.125, Mirror: all},
	}
	r.Loss.Sigmoid, r.Loss.Foreground = !compat, compat
	if !compat {
		r.Schedule.Patience = 100 // described there, and never in force
	}
	return r
}

// nvidia plans by NVIDIA's table, or where that does not know the data set, with the
// patch that nnU-Net's rules give.
func (d *dataset) nvidia() (*Plan, error) {
	d.NoTranspose = true
	known, inTable := taskOf(d.Dataset)
	spacing := d.nvidiaSpacing()
	if inTable && d.Spacing == nil {
		spacing = known.spacing
	}
	p := d.frame(spacing)
	p.Planner, p.Recipe = RecipeNVIDIA, NVIDIA(d.Compat)
	if p.HasRegions() {
		p.Recipe.Loss.Voxel, p.Recipe.Loss.SumRegions = BinaryCrossEntropy, true
	}
	p.Recipe.DeepSupervision.FullResolution = d.Dyn.Kind != PreNorm
	voxels := product(d.shape) * float64(d.ds.NumTraining)
	for _, dim := range []int{3, 2} {
		if dim == 3 && d.shape[0] == 1 || dim == 2 && d.Dyn.Kind == PreNorm {
			continue
		}
		name := map[int]string{2: Config2D, 3: ConfigFullRes}[dim]
		c, err := d.configuration(name, spacing[3-dim:], d.shape[3-dim:], voxels)
		if err != nil {
			return nil, err
		}
		if inTable {
			c.Patch = known.patch
			if dim == 2 {
				c.Patch = [3]int{1, known.plane[0], known.plane[1]}
			}
		}
		if c.Network, err = d.Dyn.network(c.Patch[3-dim:], spacing[3-dim:]); err != nil {
			return nil, err
		}
		for a, m := range c.Network.Divisor() {
			c.Patch[a] = max(c.Patch[a]/m, 1) * m
		}
		c.Batch = map[int]int{2: 64, 3: 2}[dim]
		c.BatchDice, c.Data = true, p.Name+"_"+name
		c.Crop, c.Truncate, c.NormalizeLast, c.Planes, c.Resampling = CropPositive, true, true, true, nvidiaResampling()
		for i, s := range c.Normalization {
			if s != NormCT {
				c.Normalization[i], c.MaskNorm[i] = NormNonZero, false
			}
		}
		p.Configurations = append(p.Configurations, c)
	}
	if len(p.Configurations) == 0 {
		return nil, errors.New("the network " + PreNorm + " is of 3-D, and the data set of 2-D")
	}
	for i := range p.Channels {
		p.Channels[i].Normalization = p.Configurations[0].Normalization[i]
		if r := known.ct; inTable && r != nil {
			v := &p.Intensities[i]
			v.Mean, v.Std, v.Percentile_00_5, v.Percentile_99_5 = r.mean, r.std, r.lower, r.upper
		}
	}
	if d.Dyn.Foreground {
		p.addForeground(d.Compat)
	}
	const held = 5 // folds: an epoch is a pass over four of them
	p.Recipe.Schedule.Iterations = max(1, d.ds.NumTraining*(held-1)/held/p.Configurations[0].Batch)
	return p, nil
}

// addForeground adds the channel of the foreground. NVIDIA looks at the scan after it is
// normalised, which leaves out about half of it.
func (p *Plan) addForeground(compat bool) {
	scheme := NormForeground
	if compat {
		scheme = NormForegroundLate
	}
	p.Channels = append(p.Channels, Channel{Name: NormForeground, Normalization: scheme})
	p.Intensities = append(slices.Clone(p.Intensities), Intensity{})
	for i := range p.Configurations {
		c := &p.Configurations[i]
		c.Normalization, c.MaskNorm = append(c.Normalization, scheme), append(c.MaskNorm, false)
	}
}

// nvidiaSpacing is the median spacing; where an axis is three times as coarse as
// another, the 10th percentile there. The original takes it on the finest axis.
func (d *dataset) nvidiaSpacing() [3]float64 {
	if d.Spacing != nil {
		return *d.Spacing
	}
	var s [3]float64
	for a := range s {
		s[a] = median(column(d.fp.Spacings, a))
	}
	lo, hi := 0, 0
	for a := range s {
		if s[a] < s[lo] {
			lo = a
		}
		if s[a] > s[hi] {
			hi = a
		}
	}
	if s[hi]/s[lo] < anisotropy {
		return s
	}
	at := hi
	if d.Compat {
		at = lo
	}
	s[at] = percentile(column(d.fp.Spacings, at), thickQuantile)
	if math.IsNaN(s[at]) {
		s[at] = d.fp.Spacings[0][at]
	}
	return s
}
