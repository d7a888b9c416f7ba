package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/plan"
)

// Tensor is a parameter in PyTorch's axis order: convolutions
// [Co Ci kD kH kW], transposed ones [Ci Co kD kH kW], without kD in 2-D; norms
// and biases [C].
type Tensor struct {
	Shape []int
	Data  []float32
}

// Weights are the parameters of a network by nnU-Net's names.
type Weights map[string]Tensor

// Parameter says which tensor a network has.
type Parameter struct {
	Name  string
	Shape []int // PyTorch's, as Tensor's
}

// Parameters lists what nnU-Net's model for a configuration of p has, each
// parameter once, in the order of its state dict. Names and shapes are those of
// PlainConvUNet and ResidualEncoderUNet of dynamic-network-architectures 0.4.
func Parameters(p *plan.Plan, c *plan.Configuration) []Parameter {
	l := &lister{network: c.Network, dim: c.Dim}
	l.all(p.InputChannels(c), p.Classes())
	return l.list
}

type lister struct {
	network plan.Network
	dim     int
	list    []Parameter
}

func (l *lister) all(in, classes int) {
	if l.network.Kind == plan.PreNorm {
		l.preNorm(in)
	} else {
		l.encoder(in)
		l.decoder()
	}
	l.heads(classes)
}

func (l *lister) add(name string, shape ...int) {
	l.list = append(l.list, Parameter{name, shape})
}

// kernel appends the last dim entries of k to the channels.
func (l *lister) kernel(a, b int, k [3]int) []int {
	return append([]int{a, b}, k[3-l.dim:]...)
}

// conv is a convolution and its norm.
func (l *lister) conv(name string, in, out int, kernel [3]int, bias bool) {
	l.onlyConv(name, in, out, kernel, bias)
	l.norm(name, out)
}

func (l *lister) onlyConv(name string, in, out int, kernel [3]int, bias bool) {
	l.add(name+".conv.weight", l.kernel(out, in, kernel)...)
	if bias {
		l.add(name+".conv.bias", out)
	}
}

func (l *lister) norm(name string, c int) {
	l.add(name+".norm.weight", c)
	l.add(name+".norm.bias", c)
	if l.network.Norm == plan.BatchNorm {
		l.add(name+".norm.running_mean", c)
		l.add(name+".norm.running_var", c)
	}
}

func (l *lister) encoder(in int) {
	n := l.network
	if n.Kind == plan.Residual {
		l.conv("encoder.stem.convs.0", in, n.Features[0], n.Kernels[0], n.ConvBias)
		in = n.Features[0]
	}
	for s, out := range n.Features {
		for i := range n.Convs[s] {
			if n.Kind != plan.Plain {
				strided := i == 0 && n.Strides[s] != [3]int{1, 1, 1}
				l.block(fmt.Sprintf("encoder.stages.%d.blocks.%d", s, i), in, out, n.Kernels[s], strided)
			} else {
				l.conv(fmt.Sprintf("encoder.stages.%d.0.convs.%d", s, i), in, out, n.Kernels[s], n.ConvBias)
			}
			in = out
		}
	}
}

// block is a residual block. Where the channels change its skip path has a
// convolution, behind the average pool if there is one; that of the kind Strided has
// one in the place of the pool.
func (l *lister) block(name string, in, out int, kernel [3]int, strided bool) {
	first, second := l.network.BlockConvs()
	l.conv(name+first, in, out, kernel, l.network.ConvBias)
	l.conv(name+second, out, out, kernel, l.network.ConvBias)
	alone := l.network.Kind == plan.Strided
	if in == out && !(alone && strided) {
		return
	}
	j := 0
	if strided && !alone {
		j = 1
	}
	l.conv(fmt.Sprintf("%s.skip.%d", name, j), in, out, [3]int{1, 1, 1}, false)
}

func (l *lister) decoder() {
	n := l.network
	steps := n.Stages() - 1
	for d := range steps { // the lowest resolution first
		s := steps - 1 - d
		in := 2 * n.Features[s]
		for i := range n.DecoderConvs[d] {
			l.conv(fmt.Sprintf("decoder.stages.%d.convs.%d", d, i), in, n.Features[s], n.DecoderKernel(s), n.ConvBias)
			in = n.Features[s]
		}
	}
	for d := range steps {
		s := steps - 1 - d
		name := fmt.Sprintf("decoder.transpconvs.%d", d)
		l.add(name+".weight", l.kernel(n.Features[s+1], n.Features[s], n.Strides[s+1])...)
		if n.HasUpBias() {
			l.add(name+".bias", n.Features[s])
		}
	}
}

// preNorm is encoder and decoder of the kind PreNorm.
func (l *lister) preNorm(in int) {
	n := l.network
	layer := func(name string, in, out int, k [3]int) {
		l.norm(name, in)
		l.onlyConv(name, in, out, k, n.ConvBias)
	}
	for s, out := range n.Features {
		name := fmt.Sprintf("encoder.stages.%d.0.convs.", s)
		if s == 0 {
			l.conv(name+"0", in, out, n.Kernels[0], n.ConvBias)
			l.onlyConv(name+"1", out, out, n.Kernels[0], n.ConvBias)
		} else {
			layer(name+"0", in, out, n.Kernels[s])
			layer(name+"1", out, out, n.Kernels[s])
		}
		in = out
	}
	for d := range n.Stages() - 1 {
		s := n.Stages() - 2 - d
		name := fmt.Sprintf("decoder.stages.%d.convs.", d)
		below, out := n.Features[s+1], n.Features[s]
		l.norm(name+"0"+plan.NormUp, below)
		l.norm(name+"0"+plan.NormSkip, out)
		l.onlyConv(name+"0", below+out, out, n.DecoderKernel(s), n.ConvBias)
		layer(name+"1", out, out, n.DecoderKernel(s))
	}
}

func (l *lister) heads(classes int) {
	n := l.network
	steps := n.Stages() - 1
	for d := steps - n.Outputs(); d < steps; d++ {
		name := fmt.Sprintf("decoder.seg_layers.%d", d)
		l.add(name+".weight", l.kernel(classes, n.Features[steps-1-d], [3]int{1, 1, 1})...)
		l.add(name+".bias", classes)
	}
}

// Check returns a *plan.InvalidError that lists every parameter that w lacks,
// has too many or has in another shape, and says which network they would fit; nil
// if w is what is wanted. Errors call it what.
func (w Weights) Check(what string, wanted []Parameter) error {
	shapes := make(map[string][]int, len(w))
	for name, t := range w {
		shapes[name] = t.Shape
	}
	problems := compareShapes(shapes, wanted)
	advice := ""
	if problems != nil {
		advice = fits(shapes)
	}
	for _, name := range slices.Sorted(maps.Keys(w)) {
		if t := w[name]; len(t.Data) != product(t.Shape) {
			problems = append(problems, fmt.Sprintf("%s: %d values for shape %v", name, len(t.Data), t.Shape))
		}
	}
	return invalid(what, problems, advice)
}

// CheckFinite returns a *plan.InvalidError that lists the parameters of m, and of its
// first stage, which hold NaN or infinities: all that such a network says is background.
func (m *Model) CheckFinite() error {
	var problems []string
	for _, f := range m.Folds {
		for _, name := range slices.Sorted(maps.Keys(f.Weights)) {
			bad := 0
			for _, x := range f.Weights[name].Data {
				if x-x != 0 { // as of NaN and infinities alone
					bad++
				}
			}
			if bad > 0 {
				problems = append(problems, fmt.Sprintf("fold %s: %s: %d of %d values are not finite", f.Name, name, bad, len(f.Weights[name].Data)))
			}
		}
	}
	if err := invalid("weights of "+m.Configuration, problems, "the training diverged or the file is damaged: leave these folds out, or take another checkpoint"); err != nil || m.Before == nil {
		return err
	}
	return m.Before.CheckFinite()
}

// hash names the content of w: names, shapes and bits, in the order of names.
func (w Weights) hash() string {
	sum := sha256.New()
	buffer := make([]byte, 0, 1<<16)
	for _, name := range slices.Sorted(maps.Keys(w)) {
		t := w[name]
		fmt.Fprintf(sum, "%s %v\n", name, t.Shape)
		for chunk := range slices.Chunk(t.Data, cap(buffer)/4) {
			buffer = buffer[:0]
			for _, x := range chunk {
				buffer = binary.LittleEndian.AppendUint32(buffer, math.Float32bits(x))
			}
			sum.Write(buffer)
		}
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// Hashes name the weights of the folds of m, in their order.
func (m *Model) Hashes() []string {
	hashes := []string{}
	for _, f := range m.Folds {
		hashes = append(hashes, f.Weights.hash())
	}
	return hashes
}

func invalid(what string, problems []string, advice string) error {
	if len(problems) == 0 {
		return nil
	}
	return &plan.InvalidError{What: what, Problems: problems, Advice: advice}
}

// checkShapes lists all that differs from what is wanted, and says what network the
// parameters are of.
func checkShapes(what string, have map[string][]int, wanted []Parameter) error {
	problems := compareShapes(have, wanted)
	if problems == nil {
		return nil
	}
	return invalid(what, problems, fits(have))
}

func compareShapes(have map[string][]int, wanted []Parameter) (problems []string) {
	known := make(map[string]bool, len(wanted))
	for _, p := range wanted {
		known[p.Name] = true
		shape, ok := have[p.Name]
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("%s: missing, wanted with shape %v", p.Name, p.Shape))
		case !slices.Equal(shape, p.Shape):
			problems = append(problems, fmt.Sprintf("%s: shape is %v, wanted %v", p.Name, shape, p.Shape))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if !known[name] {
			problems = append(problems, fmt.Sprintf("%s: shape %v, the plan's network has no such parameter", name, have[name]))
		}
	}
	return problems
}

func product(shape []int) int {
	n := 1
	for _, s := range shape {
		n *= s
	}
	return n
}

// isTransposed says whether a weight is that of a transposed convolution, whose
// input channels come first.
func isTransposed(name string) bool { return strings.Contains(name, "transpconvs.") }

// ToGraph returns the data of a parameter in the order and shape of the graph:
// convolutions and transposed ones [kD kH kW Ci Co], kD = 1 for 2-D, all else as
// it is. The data of vectors is not copied.
func ToGraph(name string, t Tensor) (data []float32, shape []int, err error) {
	rank := len(t.Shape)
	if len(t.Data) != product(t.Shape) {
		return nil, nil, fmt.Errorf("%s: %d values for shape %v", name, len(t.Data), t.Shape)
	}
	if rank < 2 {
		return t.Data, t.Shape, nil
	}
	if rank != 4 && rank != 5 {
		return nil, nil, fmt.Errorf("%s: shape %v, a weight has 4 axes in 2-D and 5 in 3-D", name, t.Shape)
	}
	k := [3]int{1, 1, 1}
	copy(k[5-rank:], t.Shape[2:])
	taps := k[0] * k[1] * k[2]
	out, in := t.Shape[0], t.Shape[1]
	outStep, inStep := in*taps, taps
	if isTransposed(name) {
		out, in = in, out
		outStep, inStep = inStep, outStep
	}
	data = make([]float32, len(t.Data))
	at := 0
	for tap := range taps {
		for i := range in {
			for o := range out {
				data[at] = t.Data[o*outStep+i*inStep+tap]
				at++
			}
		}
	}
	return data, []int{k[0], k[1], k[2], in, out}, nil
}

// FromGraph is the inverse of ToGraph for a network of dim 2 or 3.
func FromGraph(name string, shape []int, data []float32, dim int) (Tensor, error) {
	if len(data) != product(shape) {
		return Tensor{}, fmt.Errorf("%s: %d values for shape %v", name, len(data), shape)
	}
	if len(shape) < 2 {
		return Tensor{Shape: slices.Clone(shape), Data: slices.Clone(data)}, nil
	}
	if len(shape) != 5 || dim != 3 && (dim != 2 || shape[0] != 1) {
		return Tensor{}, fmt.Errorf("%s: shape %v is not the [kD kH kW Ci Co] of a %d-D network", name, shape, dim)
	}
	in, out := shape[3], shape[4]
	taps := shape[0] * shape[1] * shape[2]
	t := Tensor{Shape: append([]int{out, in}, shape[3-dim:3]...), Data: make([]float32, len(data))}
	outStep, inStep := in*taps, taps
	if isTransposed(name) {
		t.Shape[0], t.Shape[1] = in, out
		outStep, inStep = taps, out*taps
	}
	at := 0
	for tap := range taps {
		for i := range in {
			for o := range out {
				t.Data[o*outStep+i*inStep+tap] = data[at]
				at++
			}
		}
	}
	return t, nil
}
