//go:build !js

package checkpoint

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/plan"
)

// fits says in a sentence which network parameters of these shapes are of, by
// nnU-Net's names: what a plan must say for them. Where some are missing or misshapen
// it is the nearest network, and how many parameters are not as there.
func fits(have map[string][]int) string {
	f := newFit(have)
	if f == nil {
		return "these are not the parameters of a U-Net under nnU-Net's names: see gounet import for other programs' models"
	}
	l := &lister{network: f.network, dim: f.dim}
	l.all(f.in, f.classes)
	n := f.network
	text := fmt.Sprintf("a plan with a %d-D network of kind %s, %s, %s and %d stages: features %s; kernels %s; strides %s; convs %s; decoder_convs %s",
		f.dim, n.Kind, several(f.in, "input channel"), several(f.classes, "output"), n.Stages(),
		joined(n.Features), f.sizes(n.Kernels), f.sizes(n.Strides), joined(n.Convs), joined(n.DecoderConvs))
	if n.DecoderKernels != nil {
		text += "; decoder_kernels " + f.sizes(n.DecoderKernels)
	}
	if n.Norm != "" {
		text += "; norm " + n.Norm
	}
	if !n.ConvBias {
		text += "; conv_bias false"
		if n.UpBias {
			text += "; up_bias true"
		}
	}
	if n.Heads > 0 {
		text += fmt.Sprintf("; heads %d", n.Heads)
	}
	if off := compareShapes(have, l.list); len(off) > 0 {
		return fmt.Sprintf("nearest is %s, but for %s", text, several(len(off), "parameter"))
	}
	return "these parameters fit " + text
}

// fit is a network as far as the shapes of its parameters show it.
type fit struct {
	have        map[string][]int
	network     plan.Network
	dim         int
	in, classes int
}

// Bounds of what a network is looked for: those of a plan.
const (
	fitStages = 16
	fitConvs  = 64
)

// newFit finds the network; nil if there is none to see.
func newFit(have map[string][]int) *fit {
	f := &fit{have: have}
	for _, shape := range have {
		if len(shape) == 4 || len(shape) == 5 {
			f.dim = max(f.dim, len(shape)-2)
		}
	}
	has := func(name string) bool { return have[name] != nil }
	n := &f.network
	switch {
	case has("encoder.stem.convs.0.conv.weight"):
		n.Kind = plan.Residual
	case has("encoder.stages.0.blocks.0.convs.0.conv.weight"):
		n.Kind = plan.Strided
	case slices.ContainsFunc(slices.Collect(maps.Keys(have)), func(name string) bool { return strings.Contains(name, plan.NormUp+".norm.") }):
		n.Kind = plan.PreNorm
	default:
		n.Kind = plan.Plain
	}
	middle, end := ".0.convs.", ".conv.weight"
	if n.Kind != plan.Plain && n.Kind != plan.PreNorm {
		first, _ := n.BlockConvs()
		middle, end = ".blocks.", first+".conv.weight"
	}
	for s := range fitStages {
		convs, shape := f.stage("encoder.stages."+strconv.Itoa(s)+middle, end)
		if shape == nil {
			break
		}
		n.Features = append(n.Features, shape[0])
		n.Kernels = append(n.Kernels, f.kernel(shape, n.Kernels))
		n.Convs = append(n.Convs, convs)
	}
	if len(n.Features) < 2 || f.dim == 0 || !f.decoder() {
		return nil
	}
	first := have["encoder.stages.0"+middle+"0"+end]
	if n.Kind == plan.Residual {
		first = have["encoder.stem.convs.0.conv.weight"]
	}
	if len(first) > 1 {
		f.in = first[1]
	}
	for name := range have {
		n.ConvBias = n.ConvBias || strings.HasPrefix(name, "encoder.") && strings.HasSuffix(name, ".conv.bias")
		n.UpBias = n.UpBias || strings.HasPrefix(name, "decoder.transpconvs.") && strings.HasSuffix(name, ".bias")
		if strings.HasSuffix(name, ".norm.running_var") {
			n.Norm = plan.BatchNorm
		}
	}
	return f
}

// stage counts the convolutions or blocks of a stage, by the last one, and has the
// shape of a weight of theirs, or else of their norms; nil without any.
func (f *fit) stage(start, end string) (convs int, shape []int) {
	for name, s := range f.have {
		rest, ok := strings.CutPrefix(name, start)
		number, part, _ := strings.Cut(rest, ".")
		i, err := strconv.Atoi(number)
		if !ok || err != nil || i < 0 || i >= fitConvs {
			continue
		}
		convs = max(convs, i+1)
		is := "."+part == end || len(s) == 1 && strings.HasSuffix(part, "norm.weight")
		if better := cmp.Or(cmp.Compare(len(s), len(shape)), slices.Compare(shape, s)); is && better > 0 { // the same in every run
			shape = s
		}
	}
	return convs, shape
}

// decoder finds strides, decoder, heads and classes; false if there is no decoder.
func (f *fit) decoder() bool {
	n := &f.network
	steps := n.Stages() - 1
	n.Strides = append(n.Strides, [3]int{1, 1, 1})
	other, heads := false, 0
	for l := range steps { // from the full resolution down
		d := strconv.Itoa(steps - 1 - l)
		convs, shape := f.stage("decoder.stages."+d+".convs.", ".conv.weight")
		up := f.have["decoder.transpconvs."+d+".weight"]
		if shape == nil && up == nil && n.Kind != plan.PreNorm {
			return false
		}
		if up != nil {
			n.Strides = append(n.Strides, f.kernel(up, n.Strides))
		} else {
			n.Strides = append(n.Strides, [3]int{2, 2, 2}) // of PreNorm, which has no parameters there
		}
		n.DecoderConvs = append([]int{max(convs, 1)}, n.DecoderConvs...)
		k := f.kernel(shape, n.Kernels[:l+1])
		n.DecoderKernels = append(n.DecoderKernels, k)
		other = other || k != n.Kernels[l]
		for _, part := range []string{".weight", ".bias"} {
			if head := f.have["decoder.seg_layers."+d+part]; len(head) > 0 {
				heads = l + 1
				f.classes = cmp.Or(f.classes, head[0])
			}
		}
	}
	if !other {
		n.DecoderKernels = nil
	}
	if heads < steps {
		n.Heads = heads
	}
	return true
}

// kernel is the size in space of a weight; where it does not show, that of the stage
// before.
func (f *fit) kernel(shape []int, before [][3]int) [3]int {
	k := [3]int{1, 1, 1}
	switch {
	case len(shape) == 4 || len(shape) == 5:
		copy(k[5-len(shape):], shape[2:])
	case len(before) > 0:
		k = before[len(before)-1]
	}
	return k
}

// sizes writes sizes as 1×3×3, 3×3×3; in 2-D without the first axis.
func (f *fit) sizes(list [][3]int) string {
	text := make([]string, len(list))
	for i, k := range list {
		text[i] = strings.ReplaceAll(joined(k[3-f.dim:]), ", ", "×")
	}
	return strings.Join(text, ", ")
}

func joined(v []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(v), "[]"), " ", ", ")
}

// several counts a noun; 0 is a number that nothing shows.
func several(n int, noun string) string {
	switch n {
	case 0:
		return "an unknown number of " + noun + "s"
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
