package checkpoint

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/plan"
)

// preNormName is the name that a parameter of a network of the kind PreNorm has in
// NVIDIA's BraTS'22 model. What follows the norm's name is ours: there one norm is of
// both inputs of a decoder stage.
func preNormName(name string, stages int) string {
	parts := strings.Split(name, ".")
	at := func(i int) int {
		n, _ := strconv.Atoi(parts[i]) // our own names have numbers there
		return n
	}
	switch {
	case parts[0] == "encoder" && at(2) == 0 && parts[6] == "norm":
		return "input_block." + strings.Join(parts[6:], ".")
	case parts[0] == "encoder" && at(2) == 0:
		return fmt.Sprintf("input_block.conv%d.%s", at(5)+1, parts[7])
	case parts[0] == "encoder":
		block := "bottleneck"
		if at(2) < stages-1 {
			block = fmt.Sprintf("downsamples.%d", at(2)-1)
		}
		return fmt.Sprintf("%s.conv%d.%s", block, at(5)+1, strings.Join(parts[6:], "."))
	case parts[1] == "stages":
		return fmt.Sprintf("upsamples.%d.conv_block.conv%d.%s", at(2), at(4)+1, strings.Join(parts[5:], "."))
	case at(2) == stages-2:
		return "output_block.conv." + parts[3]
	}
	return fmt.Sprintf("deep_supervision_heads.%d.conv.%s", stages-3-at(2), parts[3])
}

// preNormShape reads a network of NVIDIA's BraTS'22 model off the tensors.
func (d *dynUNet) preNormShape() error {
	n := &d.network
	*n = plan.Network{Kind: plan.PreNorm, NormEps: 1e-5, Strides: [][3]int{{1, 1, 1}}}
	levels := []string{"input_block.conv1.weight"}
	for d.tensors[fmt.Sprintf("downsamples.%d.conv1.conv.weight", len(levels)-1)] != nil {
		levels = append(levels, fmt.Sprintf("downsamples.%d.conv1.conv.weight", len(levels)-1))
	}
	levels = append(levels, "bottleneck.conv1.conv.weight")
	for i, l := range levels {
		k, err := d.kernel(l)
		if err != nil {
			return err
		}
		n.Kernels, n.Convs, n.Features = append(n.Kernels, k), append(n.Convs, 2), append(n.Features, d.tensors[l].Shape[0])
		if i == 0 {
			continue
		}
		n.Strides = append(n.Strides, [3]int{2, 2, 2}) // it knows no other
		if k, err = d.kernel(fmt.Sprintf("upsamples.%d.conv_block.conv1.conv.weight", len(levels)-1-i)); err != nil {
			return err
		}
		n.DecoderKernels, n.DecoderConvs = append(n.DecoderKernels, k), append(n.DecoderConvs, 2)
	}
	return d.ends("conv.weight")
}

// splitNorms makes two norms of each that is of both inputs of a decoder stage: of
// what was enlarged, the first channels, and of the skip connection.
func (d *dynUNet) splitNorms(w map[string]Tensor) error {
	for s := range d.network.Stages() - 1 {
		name := fmt.Sprintf("upsamples.%d.conv_block.conv1.norm.", s)
		at := d.network.Features[d.network.Stages()-1-s]
		for _, part := range []string{"weight", "bias"} {
			t, ok := w[name+part]
			if !ok || len(t.Shape) != 1 || t.Shape[0] <= at {
				return fmt.Errorf("state dict: %s%s is missing or no vector of more than %d values", name, part, at)
			}
			delete(w, name+part)
			base := strings.TrimSuffix(name, ".norm.")
			w[base+plan.NormUp+".norm."+part] = Tensor{Shape: []int{at}, Data: t.Data[:at]}
			w[base+plan.NormSkip+".norm."+part] = Tensor{Shape: []int{t.Shape[0] - at}, Data: t.Data[at:]}
		}
	}
	return nil
}
