package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/pickle"
)

// ForeignName is the name that a parameter of n, ours, has in MONAI's DynUNet, and so in
// NVIDIA's nnU-Net, or of the kind PreNorm in NVIDIA's BraTS'22 model.
func ForeignName(n *plan.Network, name string) string {
	stages := n.Stages()
	if n.Kind == plan.PreNorm {
		return preNormName(name, stages)
	}
	parts := strings.Split(name, ".")
	at := func(i int) int {
		n, _ := strconv.Atoi(parts[i]) // our own names have numbers there
		return n
	}
	last := parts[len(parts)-1]
	layer := func(i int) string { // convs.1.norm.weight → norm2.weight, of the conv conv2.conv.weight
		number := at(i) + 1
		if parts[i-1] == "skip" {
			number = 3
		}
		if parts[i+1] == "norm" {
			return fmt.Sprintf("norm%d.%s", number, last)
		}
		return fmt.Sprintf("conv%d.conv.%s", number, last)
	}
	conv := 5
	if parts[3] == "blocks" {
		conv = 6
	}
	switch {
	case parts[0] == "encoder" && at(2) == 0:
		return "input_block." + layer(conv)
	case parts[0] == "encoder" && at(2) == stages-1:
		return "bottleneck." + layer(conv)
	case parts[0] == "encoder":
		return fmt.Sprintf("downsamples.%d.%s", at(2)-1, layer(conv))
	case parts[1] == "stages":
		return fmt.Sprintf("upsamples.%d.conv_block.%s", at(2), layer(4))
	case parts[1] == "transpconvs":
		return fmt.Sprintf("upsamples.%d.transp_conv.conv.%s", at(2), last)
	case at(2) == stages-2:
		return "output_block.conv.conv." + last
	}
	return fmt.Sprintf("deep_supervision_heads.%d.conv.conv.%s", stages-3-at(2), last)
}

// dynUNet is a network that was found in a state dict.
type dynUNet struct {
	network     plan.Network
	dim         int
	in, classes int
	tensors     map[string]*pickle.Tensor // by DynUNet's names
}

// readDynUNet finds out which network a state dict of MONAI's DynUNet is of: the
// sizes of its tensors say it all.
func readDynUNet(state *pickle.Dict) (*dynUNet, error) {
	d := &dynUNet{tensors: map[string]*pickle.Tensor{}}
	for key, v := range state.All() {
		name, isText := key.(string)
		t, isTensor := v.(*pickle.Tensor)
		if !isText || !isTensor {
			return nil, fmt.Errorf("state dict: %v holds a %T, a tensor was wanted", key, v)
		}
		name = strings.TrimPrefix(withoutWrappers(strings.TrimPrefix(name, "model.")), "model.")
		if strings.HasPrefix(name, "skip_layers.") || strings.HasSuffix(name, batchesTracked) {
			continue // the same layers once more, or a count that momentum has no use for
		}
		d.tensors[name] = t
	}
	return d, d.shape()
}

// mostChannels is far above what a DynUNet has, and keeps a file that lies from
// making long lists.
const mostChannels = 1 << 10

// shape reads the network off the tensors. What is wrong with others than those that
// it looks at is found later.
func (d *dynUNet) shape() error {
	if first := d.tensors["input_block.conv1.weight"]; first != nil && len(first.Shape) == 5 {
		d.dim, d.in = 3, first.Shape[1]
		return d.preNormShape()
	}
	n := &d.network
	*n = plan.Network{Kind: plan.Plain, NormEps: 1e-5, Slope: 0.01, UpBias: true} // MONAI's defaults and NVIDIA's
	first := d.tensors["input_block.conv1.conv.weight"]
	if first == nil || len(first.Shape) != 4 && len(first.Shape) != 5 {
		return errors.New("state dict: no input_block.conv1.conv.weight of a convolution: not a DynUNet of MONAI or NVIDIA")
	}
	d.dim, d.in = len(first.Shape)-2, first.Shape[1]
	levels := []string{"input_block"}
	for d.tensors[fmt.Sprintf("downsamples.%d.conv1.conv.weight", len(levels)-1)] != nil {
		levels = append(levels, fmt.Sprintf("downsamples.%d", len(levels)-1))
	}
	levels = append(levels, "bottleneck")
	for _, l := range levels {
		k, err := d.kernel(l + ".conv1.conv.weight")
		if err != nil {
			return err
		}
		n.Kernels = append(n.Kernels, k)
		n.Features = append(n.Features, d.tensors[l+".conv1.conv.weight"].Shape[0])
	}
	convs := 2
	if d.tensors["bottleneck.conv3.conv.weight"] != nil { // its block always changes the shape
		n.Kind, convs = plan.Strided, 1
	}
	n.Convs = slices.Repeat([]int{convs}, len(levels))
	if d.tensors["bottleneck.norm1.running_mean"] != nil {
		n.Norm = plan.BatchNorm
	}
	n.Strides = [][3]int{{1, 1, 1}}
	for l := range len(levels) - 1 {
		up := fmt.Sprintf("upsamples.%d", len(levels)-2-l)
		stride, err := d.kernel(up + ".transp_conv.conv.weight")
		if err != nil {
			return err
		}
		k, err := d.kernel(up + ".conv_block.conv1.conv.weight")
		if err != nil {
			return err
		}
		n.Strides, n.DecoderKernels, n.DecoderConvs = append(n.Strides, stride), append(n.DecoderKernels, k), append(n.DecoderConvs, 2)
		n.UpBias = d.tensors[up+".transp_conv.conv.bias"] != nil
	}
	if slices.Equal(n.DecoderKernels, n.Kernels[:len(levels)-1]) {
		n.DecoderKernels = nil
	}
	return d.ends("conv.conv.weight")
}

// ends reads heads and classes off the weights of that name.
func (d *dynUNet) ends(name string) error {
	n := &d.network
	for n.Heads = 1; d.tensors[fmt.Sprintf("deep_supervision_heads.%d.%s", n.Heads-1, name)] != nil; n.Heads++ {
	}
	if n.Heads == n.Stages()-1 {
		n.Heads = 0
	}
	out := d.tensors["output_block."+name]
	if out == nil || len(out.Shape) != d.dim+2 {
		return fmt.Errorf("state dict: no output_block.%s of a convolution: not a DynUNet of MONAI or NVIDIA", name)
	}
	d.classes = out.Shape[0]
	if d.in > mostChannels || d.classes > mostChannels {
		return fmt.Errorf("state dict: a network of %d inputs and %d outputs, at most %d of each are read", d.in, d.classes, mostChannels)
	}
	return nil
}

// kernel is D H W of a weight, 1 in D for 2-D.
func (d *dynUNet) kernel(name string) (k [3]int, err error) {
	t := d.tensors[name]
	if t == nil || len(t.Shape) != d.dim+2 {
		return k, fmt.Errorf("state dict: %s is missing or no weight of a %d-D convolution", name, d.dim)
	}
	k = [3]int{1, 1, 1}
	copy(k[3-d.dim:], t.Shape[2:])
	return k, nil
}

// weights are the tensors under our names. Its error lists every parameter that is
// missing, too many or misshapen, by the names of the file.
func (d *dynUNet) weights(path string, p *plan.Plan, c *plan.Configuration) (Weights, error) {
	if err := fitsInto(path, d.tensors); err != nil {
		return nil, err
	}
	theirs := map[string]Tensor{}
	for name, t := range d.tensors {
		data, err := t.Float32s()
		if err != nil {
			return nil, fmt.Errorf("state dict: %s: %w", name, err)
		}
		theirs[name] = Tensor{Shape: t.Shape, Data: data}
	}
	if c.Network.Kind == plan.PreNorm {
		if err := d.splitNorms(theirs); err != nil {
			return nil, err
		}
	}
	ours := map[string]string{}
	shapes := map[string][]int{}
	for name, t := range theirs {
		shapes[name] = t.Shape
	}
	var wanted []Parameter
	affine := slices.ContainsFunc(slices.Collect(maps.Keys(shapes)), func(name string) bool { return strings.Contains(name, ".norm1.") || strings.Contains(name, ".norm.") })
	for _, want := range Parameters(p, c) {
		if !affine && strings.Contains(want.Name, ".norm.") {
			continue // norms without parameters: 1 and 0
		}
		name := ForeignName(&c.Network, want.Name)
		ours[name] = want.Name
		wanted = append(wanted, Parameter{name, want.Shape})
	}
	// The network was read off these shapes: there is no other that they would fit.
	if err := invalid("state dict", compareShapes(shapes, wanted), ""); err != nil {
		return nil, err
	}
	w := Weights{}
	for name, t := range theirs {
		w[ours[name]] = t
	}
	for _, want := range Parameters(p, c) {
		if _, ok := w[want.Name]; !ok {
			w[want.Name] = Tensor{Shape: want.Shape, Data: fill(want.Shape[0], strings.HasSuffix(want.Name, "weight"))}
		}
	}
	return w, nil
}

// fill is n ones or zeros.
func fill(n int, ones bool) []float32 {
	v := make([]float32, n)
	for i := range v {
		if ones {
			v[i] = 1
		}
	}
	return v
}
