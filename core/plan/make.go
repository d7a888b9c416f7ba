package plan

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Planners of Options.
const (
	PlannerNNUNet  = "nnunet"    // plain U-Net, nnU-Net v2's default
	PlannerResEncM = "resenc-m"  // residual encoders for 8, 24 and 40 GB
	PlannerResEncL = "resenc-l"  //
	PlannerResEncX = "resenc-xl" //
)

// Rules of nnU-Net v2's planner.
const (
	anisotropy     = 3    // a spacing this many times another one's is thick
	thickQuantile  = 10   // percentile of the spacing of a thick axis
	lowResBelow    = 0.25 // patch / median volume below which there is a 3d_lowres
	lowResGrowth   = 1.03 // of the spacing, a try
	lowResShrink   = 2    // times fewer voxels than 3d_fullres, or it is dropped
	maskBelow      = 0.75 // median relative size below which z-scores use the mask
	minBatch       = 2
	referenceBatch = 2  // of the reference costs, 3-D
	referencePlane = 12 // of the reference costs, 2-D
)

// Options of Make.
type Options struct {
	Planner     string      // PlannerNNUNet …, "" is nnunet
	MemoryGB    float64     // memory target, 0: the planner's own (8, 24 or 40)
	Spacing     *[3]float64 // mm, D H W of the files: instead of the rule
	NoTranspose bool        // keep the files' axes
	Dataset     string      // name of the data set, "" is that of dataset.json
	Name        string      // nnU-Net's plans_name, "" is the planner's own
	Recipe      string      // RecipeNNUNet …, "" is that
	Compat      bool        // RecipeNVIDIA: also with the defects of the original
	Norm        string      // of all networks: InstanceNorm, also if empty, BatchNorm or GroupNorm
	Groups      int         // of channels, of GroupNorm
	Dyn         Dyn

	// Memory, if set, replaces nnU-Net's estimate: the bytes of a training step
	// with c. The largest patch and then batch within MemoryGB are taken.
	Memory func(c *Configuration, in, classes int) (int64, error)
}

// Dyn is what RecipeNVIDIA may be told of its networks; the zero value is what
// NVIDIA's scripts take.
type Dyn struct {
	Kind     string // Plain, also if empty, Strided, or PreNorm, which is of 3-D
	Features []int  // of the stages, instead of 32, 64 …
	Depth    int    // poolings at most, 0: 5
	MinEdge  int    // voxels that a pooled axis keeps at least, 0: 4

	// Foreground adds a channel of the foreground (NVIDIA's --ohe).
	Foreground bool
}

// planner is what distinguishes nnU-Net's planners.
type planner struct {
	id, class, name    string
	kind               string
	convs              []int // of the encoder, the last repeats
	decoderConvs       int
	cost3D, cost2D     float64 // references at GB
	gb                 float64
	covered            float64 // share of the data set that a batch may cover
	perBatch           bool    // the reference is for the reference batch
	sharesDefaultNames bool    // folders of 2d and 3d_fullres are named for nnUNetPlans
}

func planners() []planner {
	blocks := []int{1, 3, 4, 6}
	return []planner{
		{id: PlannerNNUNet, class: "ExperimentPlanner", name: "nnUNetPlans", kind: Plain, convs: []int{2}, decoderConvs: 2, cost3D: 560e6, cost2D: 85e6, gb: 8, covered: 0.05, perBatch: true},
		{id: PlannerResEncM, class: "nnUNetPlannerResEncM", name: "nnUNetResEncUNetMPlans", kind: Residual, convs: blocks, decoderConvs: 1, cost3D: 680e6, cost2D: 135e6, gb: 8, covered: 1, sharesDefaultNames: true},
		{id: PlannerResEncL, class: "nnUNetPlannerResEncL", name: "nnUNetResEncUNetLPlans", kind: Residual, convs: blocks, decoderConvs: 1, cost3D: 2100e6, cost2D: 380e6, gb: 24, covered: 1, sharesDefaultNames: true},
		{id: PlannerResEncX, class: "nnUNetPlannerResEncXL", name: "nnUNetResEncUNetXLPlans", kind: Residual, convs: blocks, decoderConvs: 1, cost3D: 3600e6, cost2D: 560e6, gb: 40, covered: 1, sharesDefaultNames: true},
	}
}

// PlannerNames lists the values of Options.Planner.
func PlannerNames() []string {
	var names []string
	for _, p := range planners() {
		names = append(names, p.id)
	}
	return names
}

// dataset is what all configurations of a plan share, axes transposed.
type dataset struct {
	planner
	Options
	ds      *DatasetJSON
	fp      *Fingerprint
	shape   []float64 // median shape at the target spacing
	classes int
}

// Make plans a data set by the rules of nnU-Net v2.
func Make(fp *Fingerprint, ds *DatasetJSON, o Options) (*Plan, error) {
	if err := fp.Validate(); err != nil {
		return nil, err
	}
	if o.Planner == "" {
		o.Planner = PlannerNNUNet
	}
	if o.Recipe != "" && !slices.Contains(RecipeNames(), o.Recipe) {
		return nil, fmt.Errorf("plan: recipe %q is unknown, there are %s", o.Recipe, strings.Join(RecipeNames(), ", "))
	}
	i := slices.IndexFunc(planners(), func(p planner) bool { return p.id == o.Planner })
	if i < 0 {
		return nil, fmt.Errorf("plan: planner %q is unknown, there are %s", o.Planner, strings.Join(PlannerNames(), ", "))
	}
	if len(ds.Channels) != len(fp.Intensities) {
		return nil, fmt.Errorf("plan: dataset.json has %d channels, the fingerprint %d: they are of different data sets", len(ds.Channels), len(fp.Intensities))
	}
	d := &dataset{planner: planners()[i], Options: o, ds: ds, fp: fp}
	if o.Recipe == RecipeNVIDIA {
		d.name = "nvidiaPlans"
	}
	if d.MemoryGB == 0 {
		d.MemoryGB = d.gb
	}
	if !positive(d.MemoryGB) {
		return nil, fmt.Errorf("plan: memory target is %v GB, wanted more than 0", d.MemoryGB)
	}
	d.Name, d.Dataset = first(o.Name, d.name), first(o.Dataset, ds.Name)
	if o.Recipe == RecipeNVIDIA {
		p, err := d.nvidia()
		if err != nil {
			return nil, fmt.Errorf("plan: %w", err)
		}
		return d.finish(p)
	}
	spacing := d.targetSpacing()
	if !positive(spacing[0]) || !positive(spacing[1]) || !positive(spacing[2]) {
		return nil, fmt.Errorf("plan: target spacing is %v, wanted mm > 0", spacing)
	}
	p := d.frame(spacing)
	if err := d.configure(p, spacing); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return d.finish(p)
}

// finish gives the networks their norm, and looks at everything.
func (d *dataset) finish(p *Plan) (*Plan, error) {
	for i := range p.Configurations {
		n := &p.Configurations[i].Network
		n.Norm, n.Groups = d.Norm, d.Groups
		if n.Norm == InstanceNorm {
			n.Norm = ""
		}
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}

// reader is the class that nnU-Net chooses to read the data set, unless dataset.json
// does: that of pictures for pictures, and Tiff3DIO for a TIFF of several slices.
func (d *dataset) reader() string {
	switch flat := !slices.ContainsFunc(d.fp.Shapes, func(s [3]int) bool { return s[0] > 1 }); {
	case d.ds.Reader != "" && d.ds.Reader != "None":
		return d.ds.Reader
	case flat && slices.Contains([]string{".png", ".tif"}, d.ds.FileEnding):
		return "NaturalImage2DIO"
	case slices.Contains([]string{".tif", ".tiff"}, d.ds.FileEnding):
		return "Tiff3DIO"
	}
	return "SimpleITKIO"
}

// frame is the plan without its configurations.
func (d *dataset) frame(spacing [3]float64) *Plan {
	p := &Plan{
		Version: FormatVersion, Dataset: d.Dataset, Name: d.Name, Planner: d.Planner, Description: d.ds.Description, Licence: d.ds.Licence,
		Labels: d.ds.Labels, RegionOrder: d.ds.RegionOrder, Ignore: d.ds.Ignore,
		Intensities: d.fp.Intensities, FileEnding: d.ds.FileEnding,
		Reader: d.reader(), Transpose: [3]int{0, 1, 2}, Recipe: NNUNet(3),
	}
	if !d.NoTranspose {
		p.Transpose = coarsestFirst(spacing)
	}
	p.TransposeBack = inverse(p.Transpose)
	for _, name := range d.ds.Channels {
		p.Channels = append(p.Channels, Channel{Name: name, Normalization: normalizationOf(name)})
	}
	if p.HasRegions() {
		p.Recipe.Loss.Voxel = BinaryCrossEntropy
	}
	d.classes = p.Classes()
	for i, a := range p.Transpose {
		p.MedianSpacing[i] = median(column(d.fp.Spacings, a))
		p.MedianShape[i] = int(math.RoundToEven(median(column(d.fp.Shapes, a))))
		d.shape = append(d.shape, median(d.resampled(spacing, a)))
	}
	return p
}

// configure adds the configurations, in the order of nnU-Net.
func (d *dataset) configure(p *Plan, target [3]float64) error {
	spacing := make([]float64, 3)
	for i, a := range p.Transpose {
		spacing[i] = target[a]
	}
	voxels := product(d.shape) * float64(d.ds.NumTraining)
	plane, err := d.configuration(Config2D, spacing[1:], d.shape[1:], voxels)
	if err != nil {
		return err
	}
	plane.BatchDice = true
	p.Configurations = []Configuration{plane}
	if d.shape[0] == 1 {
		return nil
	}
	full, err := d.configuration(ConfigFullRes, spacing, d.shape, voxels)
	if err != nil {
		return err
	}
	low, err := d.lowRes(&full, spacing)
	if err != nil {
		return err
	}
	if low == nil {
		p.Configurations = append(p.Configurations, full)
		return nil
	}
	low.Next, full.BatchDice = ConfigCascade, true
	cascade := full
	cascade.Name, cascade.Previous = ConfigCascade, ConfigLowRes
	p.Configurations = append(p.Configurations, *low, full, cascade)
	return nil
}

// lowRes coarsens the spacing until a patch covers a quarter of a scan; nil
// where it does already or where that would hardly shrink the scan.
func (d *dataset) lowRes(full *Configuration, spacing []float64) (*Configuration, error) {
	var low *Configuration
	all := product(d.shape)
	voxels, patch := all, float64(prod(full.Patch))
	coarse, shape := slices.Clone(spacing), make([]float64, 3)
	for patch/voxels < lowResBelow {
		coarsen(coarse)
		ratio := [3]float64{spacing[0] / coarse[0], spacing[1] / coarse[1], spacing[2] / coarse[2]}
		voxels = ratio[0] * d.shape[0] * (ratio[1] * d.shape[1]) * (ratio[2] * d.shape[2])
		for a := range shape {
			shape[a] = max(math.RoundToEven(ratio[a]*d.shape[a]), 1)
		}
		c, err := d.configuration(ConfigLowRes, coarse, shape, voxels*float64(d.ds.NumTraining))
		if err != nil {
			return nil, err
		}
		low, patch = &c, float64(prod(c.Patch))
	}
	if all/voxels < lowResShrink {
		return nil, nil
	}
	return low, nil
}

// coarsen enlarges the fine spacings first, all where they are similar.
func coarsen(spacing []float64) {
	coarsest, grown := slices.Max(spacing), false
	for a, s := range spacing {
		if coarsest/s > similar {
			spacing[a] *= lowResGrowth
			grown = true
		}
	}
	for a := range spacing {
		if !grown {
			spacing[a] *= lowResGrowth
		}
	}
}

// targetSpacing is the median of each axis, finer on a thick one.
func (d *dataset) targetSpacing() [3]float64 {
	if d.Spacing != nil {
		return *d.Spacing
	}
	var target, size [3]float64
	for a := range 3 {
		target[a], size[a] = median(column(d.fp.Spacings, a)), median(column(d.fp.Shapes, a))
	}
	a := argmax(target)
	b, c := (a+1)%3, (a+2)%3
	others := max(target[b], target[c])
	if target[a] > anisotropy*others && size[a]*anisotropy < min(size[b], size[c]) {
		target[a] = percentile(column(d.fp.Spacings, a), thickQuantile)
		if target[a] < others {
			target[a] = others + 1e-5
		}
	}
	return target
}

// resampled is the size of each case on axis a at spacing.
func (d *dataset) resampled(spacing [3]float64, a int) []float64 {
	sizes := make([]float64, len(d.fp.Shapes))
	for i, s := range d.fp.Shapes {
		sizes[i] = max(math.RoundToEven(d.fp.Spacings[i][a]/spacing[a]*float64(s[a])), 1)
	}
	return sizes
}

// normalizationOf is nnU-Net's scheme for a channel of that name.
func normalizationOf(name string) string {
	switch strings.ToLower(name) {
	case "ct":
		return NormCT
	case "nonorm":
		return NormNone
	case "rescale_to_0_1":
		return NormRescale
	case "rgb_to_0_1":
		return NormRGB
	}
	return NormZScore
}

func argmax(v [3]float64) int {
	best := 0
	for a := range v {
		if v[a] > v[best] {
			best = a
		}
	}
	return best
}

// coarsestFirst is the order of axes with the coarsest first, then the others.
func coarsestFirst(spacing [3]float64) [3]int {
	worst := argmax(spacing)
	order := []int{worst}
	for a := range 3 {
		if a != worst {
			order = append(order, a)
		}
	}
	return [3]int(order)
}

func product(v []float64) float64 {
	p := 1.0
	for _, x := range v {
		p *= x
	}
	return p
}
