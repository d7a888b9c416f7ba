package plan

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/volume"
)

// Bounds of what a plan may ask for; beyond them arithmetic on sizes would not be safe.
const (
	maxEdge     = 1 << 14 // voxels of a patch on an axis
	maxVoxels   = 1 << 31 // of a patch
	maxBatch    = 1 << 16
	maxFeatures = 1 << 15
	maxStages   = 16
	maxChannels = 1 << 10
	maxConvs    = 64
	maxStride   = 16
	maxKernel   = 31
)

// folderName is what a configuration may be called.
var folderName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$`)

// InvalidError lists everything that is wrong with a file.
type InvalidError struct {
	What     string // plan, dataset.json …
	Problems []string
	Advice   string // a sentence for all of them, or none
}

func (e *InvalidError) Error() string {
	text := e.What + ": "
	if len(e.Problems) > 1 {
		text += fmt.Sprintf("%d problems:\n  ", len(e.Problems))
	}
	text += strings.Join(e.Problems, "\n  ")
	if e.Advice != "" {
		text += "\n" + e.Advice
	}
	return text
}

// problems collects what is wrong; at puts a place in front.
type problems struct {
	list *[]string
	at   string
}

func newProblems() problems { return problems{list: new([]string)} }

func (p problems) in(format string, a ...any) problems {
	p.at += fmt.Sprintf(format, a...) + ": "
	return p
}

func (p problems) add(format string, a ...any) {
	*p.list = append(*p.list, p.at+fmt.Sprintf(format, a...))
}

// need adds the message unless ok.
func (p problems) need(ok bool, format string, a ...any) bool {
	if !ok {
		p.add(format, a...)
	}
	return ok
}

func (p problems) err(what string) error {
	if len(*p.list) == 0 {
		return nil
	}
	return &InvalidError{What: what, Problems: *p.list}
}

// Validate returns an *InvalidError with everything that is wrong with p, or nil.
func (p *Plan) Validate() error {
	e := newProblems()
	e.need(p.Version == FormatVersion, "version is %d, this program reads %d", p.Version, FormatVersion)
	p.validateChannels(e)
	validateLabels(e.in("labels"), p.Labels, p.RegionOrder, p.Ignore)
	p.validateGeometry(e)
	e.need(len(p.Configurations) > 0, "configurations: there is none")
	for i := range p.Configurations {
		c := &p.Configurations[i]
		p.validateConfiguration(e.in("configurations[%d] %q", i, c.Name), i)
	}
	p.Recipe.validate(e.in("recipe"))
	l := p.Recipe.Loss
	e.need(!p.HasRegions() || l.Voxel != CrossEntropy && l.Voxel != TopK, "recipe: loss: voxel is %q, but the labels are regions, which overlap: wanted %q or %q", l.Voxel, BinaryCrossEntropy, Focal)
	e.need(len(l.ClassWeights) == 0 || len(l.ClassWeights) == p.Classes(), "recipe: loss: %d class_weights for %d labels with background", len(l.ClassWeights), p.Classes())
	return e.err("plan")
}

func (p *Plan) validateChannels(e problems) {
	e.need(len(p.Channels) > 0 && len(p.Channels) <= maxChannels, "channels: there are %d, wanted 1 to %d", len(p.Channels), maxChannels)
	for i, c := range p.Channels {
		validateScheme(e.in("channels[%d] %q", i, c.Name), c.Normalization)
		e.need(!madeHere(c.Normalization) || i > 0 && i == len(p.Channels)-1, "channels[%d] %q: %s is of the last channel, behind others", i, c.Name, c.Normalization)
	}
	e.need(len(p.Intensities) == len(p.Channels), "intensities: %d for %d channels", len(p.Intensities), len(p.Channels))
	for i, v := range p.Intensities {
		ok := finite(v.Mean, v.Median, v.Std, v.Min, v.Max, v.Percentile_00_5, v.Percentile_99_5)
		e.need(ok && v.Std >= 0 && v.Percentile_00_5 <= v.Percentile_99_5, "intensities[%d]: want finite numbers, std ≥ 0 and percentile_00_5 ≤ percentile_99_5", i)
	}
}

func validateScheme(e problems, s string) {
	e.need(slices.Contains(schemes(), s), "normalization %q is unknown, there are %s", s, strings.Join(schemes(), ", "))
}

func schemes() []string {
	return []string{NormCT, NormZScore, NormNone, NormRescale, NormRGB, NormNonZero, NormForeground, NormForegroundLate}
}

// validateLabels checks what nnU-Net asks of labels: background 0 first, no
// value twice, consecutive values, and the ignore label behind the last.
func validateLabels(e problems, labels []Label, order []int, ignore int) {
	if !e.need(len(labels) >= 2, "there are %d, wanted background and at least one more", len(labels)) {
		return
	}
	e.need(slices.Equal(labels[0].Values, []int{0}), "the first is %q with %v, wanted background with the value 0", labels[0].Name, labels[0].Values)
	names, used, regions := map[string]bool{}, map[int]string{}, false
	for _, l := range labels {
		e.need(l.Name != "" && !names[l.Name], "the name %q is empty or there twice", l.Name)
		names[l.Name] = true
		e.need(len(l.Values) > 0, "%q has no value", l.Name)
		regions = regions || len(l.Values) > 1
	}
	highest := 0
	for _, l := range labels {
		for _, v := range l.Values {
			e.need(v >= 0 && v <= volume.MaxLabel, "%q has the value %d, wanted 0 to %d", l.Name, v, volume.MaxLabel)
			if other, ok := used[v]; ok && !regions {
				e.add("%q and %q both have the value %d", other, l.Name, v)
			}
			used[v] = l.Name
			highest = max(highest, v)
		}
	}
	validateGaps(e, slices.Collect(maps.Keys(used)), highest, ignore)
	if ignore != -1 {
		e.need(ignore == highest+1 && ignore <= volume.MaxLabel, "ignore is %d, wanted %d, one more than the highest label, or -1 for none", ignore, highest+1)
	}
	validateOrder(e, labels, order, regions)
}

// validateGaps reports the values below highest that no label has, a line a gap.
func validateGaps(e problems, used []int, highest, ignore int) {
	used = append(used, -1, ignore)
	slices.Sort(used)
	for i, v := range used[1:] {
		from, to := used[i]+1, v-1
		switch {
		case from < 0 || v > highest || from > to:
		case from == to:
			e.add("the value %d is missing between 0 and %d: values must be consecutive", from, highest)
		default:
			e.add("the values %d to %d are missing between 0 and %d: values must be consecutive", from, to, highest)
		}
	}
}

func validateOrder(e problems, labels []Label, order []int, regions bool) {
	if !regions {
		e.need(len(order) == 0, "the order of regions is %v, but no label has several values", order)
		return
	}
	e.need(len(order) == len(labels)-1, "the order of regions has %d values for %d regions: give one for each, in the order of the labels without background", len(order), len(labels)-1)
	for _, v := range order {
		e.need(v >= 0 && v <= volume.MaxLabel, "the order of regions has the value %d, wanted 0 to %d", v, volume.MaxLabel)
	}
}

func (p *Plan) validateGeometry(e problems) {
	sorted := p.Transpose
	slices.Sort(sorted[:])
	if e.need(sorted == [3]int{0, 1, 2}, "transpose is %v, wanted 0, 1, 2 in some order", p.Transpose) {
		e.need(p.TransposeBack == inverse(p.Transpose), "transpose_back is %v, wanted %v, the inverse of transpose", p.TransposeBack, inverse(p.Transpose))
	}
	for a := range 3 {
		e.need(positive(p.MedianSpacing[a]), "median_spacing is %v, wanted mm > 0", p.MedianSpacing)
		e.need(p.MedianShape[a] > 0, "median_shape is %v, wanted voxels > 0", p.MedianShape)
	}
}

func (p *Plan) validateConfiguration(e problems, i int) {
	c := &p.Configurations[i]
	e.need(folderName.MatchString(c.Name), "its name names a folder: wanted letters, digits, and . _ - + between them")
	e.need(slices.Index(p.ConfigurationNames(), c.Name) == i, "the name is there twice")
	if !e.need(c.Dim == 2 || c.Dim == 3, "dim is %d, wanted 2 or 3", c.Dim) {
		return
	}
	e.need(c.Batch >= 1 && c.Batch <= maxBatch, "batch is %d, wanted 1 to %d", c.Batch, maxBatch)
	for a := range 3 {
		if a == 0 && c.Dim == 2 {
			e.need(c.Patch[0] == 1 && c.Spacing[0] == 0 && c.MedianShape[0] == 1, "D of 2-D: patch %d, spacing %v, median_shape %v, wanted 1, 0, 1", c.Patch[0], c.Spacing[0], c.MedianShape[0])
			continue
		}
		e.need(c.Patch[a] >= 1 && c.Patch[a] <= maxEdge, "patch is %v, wanted 1 to %d", c.Patch, maxEdge)
		e.need(positive(c.Spacing[a]), "spacing is %v, wanted mm > 0", c.Spacing)
		e.need(positive(c.MedianShape[a]), "median_shape is %v, wanted voxels > 0", c.MedianShape)
	}
	e.need(len(c.Normalization) == len(p.Channels) && len(c.MaskNorm) == len(p.Channels), "normalization has %d and mask_norm %d entries for %d channels", len(c.Normalization), len(c.MaskNorm), len(p.Channels))
	for i, s := range c.Normalization {
		validateScheme(e, s)
		made := i < len(p.Channels) && madeHere(p.Channels[i].Normalization)
		e.need(made == madeHere(s) && (!made || c.NormalizeLast), "normalization[%d] is %q: of the channel of the foreground, and of no other, wanted %s or %s, and normalize_last", i, s, NormForeground, NormForegroundLate)
	}
	for _, stage := range []string{c.Previous, c.Next} {
		e.need(stage == "" || stage != c.Name && p.Configuration(stage) != nil, "previous or next is %q, which is not another configuration of this plan", stage)
	}
	e.need(!c.NormalizeLast || !slices.Contains(c.MaskNorm, true), "normalize_last with mask_norm: the mask is not resampled")
	e.need(c.Crop == "" || c.Crop == CropPositive, "crop is %q, wanted nothing or %s", c.Crop, CropPositive)
	c.Resampling.validate(e.in("resampling"))
	c.validateNetwork(e)
}

func (r Resampling) validate(e problems) {
	for _, o := range []int{r.ImageOrder, r.ImageOrderZ, r.LabelOrder, r.LabelOrderZ, r.LogitOrder, r.LogitOrderZ} {
		e.need(o == 0 || o == 1 || o == 3, "the order %d is not one of 0 (nearest), 1 (linear), 3 (cubic)", o)
	}
	e.need(slices.Contains([]string{SeparateAuto, SeparateAlways, SeparateNever}, r.SeparateZ), "separate_z is %q, wanted auto, always or never", r.SeparateZ)
}

func (c *Configuration) validateNetwork(e problems) {
	n := &c.Network
	e = e.in("network")
	oneOf(e, "kind", n.Kind, Plain, Residual, Strided, PreNorm)
	e.need(n.Slope > 0 || n.Kind == Plain || n.Kind == PreNorm, "slope is %v, of residual blocks wanted > 0: their gradient is made of the sign of the result", n.Slope)
	oneOf(e, "norm", first(n.Norm, InstanceNorm), InstanceNorm, BatchNorm, GroupNorm)
	e.need((n.Norm == GroupNorm) == (n.Groups != 0), "groups is %d with the norm %q, wanted 1 or more for %s, and nothing for others", n.Groups, n.Norm, GroupNorm)
	s := n.Stages()
	if !e.need(s >= 2 && s <= maxStages, "features has %d stages, wanted 2 to %d", s, maxStages) {
		return
	}
	same := len(n.Kernels) == s && len(n.Strides) == s && len(n.Convs) == s && len(n.DecoderConvs) == s-1
	if !e.need(same, "kernels %d, strides %d, convs %d, decoder_convs %d entries, wanted %d, %d, %d, %d for %d features",
		len(n.Kernels), len(n.Strides), len(n.Convs), len(n.DecoderConvs), s, s, s, s-1, s) {
		return
	}
	for i, f := range n.Features {
		e.need(f >= 1 && f <= maxFeatures, "features[%d] is %d, wanted 1 to %d", i, f, maxFeatures)
		e.need(n.Groups >= 0 && (n.Groups == 0 || f%n.Groups == 0), "features[%d] is %d, which are not %d groups of one size", i, f, n.Groups)
		e.need(n.Kind != PreNorm || n.Convs[i] == 2 && (i == 0 || n.DecoderConvs[i-1] == 2), "convs[%d] or decoder_convs is not 2, as the kind %s wants", i, PreNorm)
		e.need(n.Kind != Strided || n.Convs[i] == 1, "convs[%d] is %d, of the kind %s wanted 1 block", i, n.Convs[i], Strided)
	}
	for _, v := range slices.Concat(n.Convs, n.DecoderConvs) {
		e.need(v >= 1 && v <= maxConvs, "a stage has %d convolutions or blocks, wanted 1 to %d", v, maxConvs)
	}
	ok := true
	for i := range s {
		k, d := n.Kernels[i], n.Strides[i]
		for a := range 3 {
			ok = e.need(k[a]%2 == 1 && k[a] >= 1 && k[a] <= maxKernel, "kernels[%d] is %v, wanted odd numbers from 1 to %d", i, k, maxKernel) && ok
			ok = e.need(d[a] >= 1 && d[a] <= maxStride, "strides[%d] is %v, wanted 1 to %d", i, d, maxStride) && ok
		}
		e.need(c.Dim == 3 || k[0] == 1 && d[0] == 1, "stage %d has kernel %v and stride %v, wanted 1 in D for 2-D", i, k, d)
	}
	e.need(n.Heads >= 0 && n.Heads < s, "heads is %d, wanted 0 (all) to %d, one for each decoder stage", n.Heads, s-1)
	if len(n.DecoderKernels) > 0 && e.need(len(n.DecoderKernels) == s-1, "decoder_kernels has %d entries, wanted %d", len(n.DecoderKernels), s-1) {
		for i, k := range n.DecoderKernels {
			for a := range 3 {
				e.need(k[a]%2 == 1 && k[a] >= 1 && k[a] <= maxKernel && (a > 0 || c.Dim == 3 || k[a] == 1), "decoder_kernels[%d] is %v, wanted odd numbers from 1 to %d, in 2-D 1 in D", i, k, maxKernel)
			}
		}
	}
	e.need(n.Strides[0] == [3]int{1, 1, 1}, "strides[0] is %v, wanted 1, 1, 1: the first stage has the full resolution", n.Strides[0])
	e.need(positive(float64(n.NormEps)) && finite(float64(n.Slope)), "norm_eps is %v and slope %v, wanted a number > 0 and a finite one", n.NormEps, n.Slope)
	if ok {
		c.validatePatch(e)
	}
}

// validatePatch checks that every stage has whole voxels.
func (c *Configuration) validatePatch(e problems) {
	div, voxels := [3]int{1, 1, 1}, int64(1)
	for _, s := range c.Network.Strides {
		for a := range 3 {
			div[a] = min(div[a]*s[a], maxEdge*maxStride)
		}
	}
	for a := range 3 {
		e.need(c.Patch[a]%div[a] == 0, "patch %v is not a multiple of %v, the product of the strides", c.Patch, div)
		voxels *= int64(min(max(c.Patch[a], 1), maxEdge))
	}
	e.need(voxels <= maxVoxels, "patch %v has %d voxels, wanted at most %d", c.Patch, voxels, int64(maxVoxels))
}

func inverse(t [3]int) [3]int {
	var b [3]int
	for i, a := range t {
		b[a] = i
	}
	return b
}

func finite(v ...float64) bool {
	for _, x := range v {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}

func positive(v float64) bool { return v > 0 && !math.IsInf(v, 1) }
