package plan

import (
	"fmt"
	"slices"
)

// Foreign is what has to be known of a network of NVIDIA's or MONAI's beside its
// weights, which say nothing of the scans.
type Foreign struct {
	Dataset   string
	Channels  []string   // names; "CT" is normalised as such. None: one for each input, of no name
	Labels    []string   // names without the background. None: numbers
	Regions   [][]int    // values of each label, of a network with a sigmoid for each; with Order
	Order     []int      // value that is painted for each region
	Patch     [3]int     // voxels, in the axes of the network
	Spacing   [3]float64 // mm, likewise
	Transpose [3]int     // axis of the network → axis D H W of the file; all 0: the same
	Range     *Intensity // of CT
	Ohe       bool       // the last input is the foreground of the others, as NVIDIA's --ohe makes it
	Groups    int        // of channels that a norm is of, which weights do not tell from an instance norm
}

// Plan is a plan with the one configuration of a network of dim 2 or 3 with in
// channels and classes, and NVIDIA's recipe. A line of NVIDIA's table fills in what
// is not said.
func (f Foreign) Plan(n Network, dim, in, classes int) (*Plan, error) {
	if known, ok := taskOf(f.Dataset); ok {
		if f.Patch == [3]int{} {
			f.Patch = known.patch
			if dim == 2 {
				f.Patch = [3]int{1, known.plane[0], known.plane[1]}
			}
		}
		if f.Spacing == [3]float64{} {
			f.Spacing = known.spacing
		}
		if r := known.ct; r != nil && f.Range == nil {
			f.Range = &Intensity{Mean: r.mean, Std: r.std, Percentile_00_5: r.lower, Percentile_99_5: r.upper}
			if f.Channels == nil {
				f.Channels = slices.Repeat([]string{"CT"}, in-b2i(f.Ohe))
			}
		}
	}
	e := newProblems()
	e.need(f.Patch != [3]int{}, "the patch is not known: give it in the axes of the network")
	e.need(f.Spacing != [3]float64{}, "the spacing of the training is not known: give it in the axes of the network")
	scans, hint := in-b2i(f.Ohe), ""
	if len(f.Channels) == in-1 && !f.Ohe {
		hint = "; if the last is NVIDIA's channel of the foreground (--ohe), say so"
	}
	e.need(len(f.Channels) == 0 || len(f.Channels) == scans, "%d channels, the network has %d inputs%s", len(f.Channels), scans, hint)
	e.need(scans > 0, "the network has one input, and it would be the foreground of none")
	foreground := classes - b2i(f.Regions == nil)
	e.need(len(f.Labels) == 0 || len(f.Labels) == foreground, "%d labels beside the background, the network has %d", len(f.Labels), foreground)
	e.need(f.Regions == nil || len(f.Regions) == classes, "%d regions, the network has %d outputs", len(f.Regions), classes)
	if err := e.err("model"); err != nil {
		return nil, err
	}
	if n.Groups = f.Groups; n.Groups > 0 && n.Norm == "" {
		n.Norm = GroupNorm
	}
	if f.Transpose == [3]int{} {
		f.Transpose = [3]int{0, 1, 2}
	}
	p := &Plan{
		Version: FormatVersion, Dataset: first(f.Dataset, "imported"), Name: "nvidiaPlans", Planner: RecipeNVIDIA, Ignore: -1, FileEnding: ".nii.gz",
		Labels: []Label{{Name: "background", Values: []int{0}}}, RegionOrder: f.Order,
		Transpose: f.Transpose, TransposeBack: inverse(f.Transpose), MedianSpacing: f.Spacing, MedianShape: f.Patch, Recipe: NVIDIA(false),
	}
	for i := range foreground {
		l := Label{Name: fmt.Sprint(i + 1), Values: []int{i + 1}}
		if f.Labels != nil {
			l.Name = f.Labels[i]
		}
		if f.Regions != nil {
			l.Values = f.Regions[i]
		}
		p.Labels = append(p.Labels, l)
	}
	p.Recipe.DeepSupervision.FullResolution = n.Kind != PreNorm
	if p.HasRegions() {
		p.Recipe.Loss.Voxel, p.Recipe.Loss.SumRegions = BinaryCrossEntropy, true
	}
	c := Configuration{
		Name: ConfigFullRes, Dim: dim, Patch: f.Patch, Batch: 2, Spacing: f.Spacing, BatchDice: true, Resampling: nvidiaResampling(), Network: n,
		Crop: CropPositive, Truncate: true, NormalizeLast: true, Planes: true,
	}
	for a, v := range f.Patch {
		c.MedianShape[a] = float64(v)
	}
	if dim == 2 {
		c.Name, c.Batch, c.Spacing[0], p.MedianSpacing[0] = Config2D, 64, 0, max(f.Spacing[0], f.Spacing[1])
	}
	for i := range scans {
		ch, v := Channel{Name: "channel" + fmt.Sprint(i), Normalization: NormNonZero}, Intensity{Std: 1}
		if f.Channels != nil {
			ch.Name = f.Channels[i]
		}
		if ch.Name == "CT" && f.Range != nil {
			ch.Normalization, v = NormCT, *f.Range
		}
		p.Channels, p.Intensities = append(p.Channels, ch), append(p.Intensities, v)
		c.Normalization, c.MaskNorm = append(c.Normalization, ch.Normalization), append(c.MaskNorm, false)
	}
	p.Configurations = []Configuration{c}
	if f.Ohe {
		p.addForeground(true)
	}
	return p, p.Validate()
}
