// Package unet builds the graphs of nnU-Net: the network of a plan, its loss
// with deep supervision, the training step with augmentation, and the program
// that predicts tiles of a volume. It decides what is computed; it computes
// nothing.
//
// Parameters have the names of nnU-Net's PyTorch modules, so that a checkpoint
// of either side loads into the other.
package unet

import (
	"fmt"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// net declares parameters and applies layers of one network.
type net struct {
	*graph.Builder
	plan.Network
	training bool // batch norms take the statistics of the batch
	devices  bool // of that of all devices
	params   []graph.Value
	tracks   []track // of batch norms
}

func (n *net) param(name string, shape ...int) graph.Value {
	v := n.Param(name, shape...)
	n.params = append(n.params, v)
	return v
}

// Forward adds the network to b for an input x T[N D H W C]. It returns the
// logits T[N D H W K] of the heads from the full resolution down to level
// heads−1, and all parameters; those of the lowest heads come last, since they
// may go without a gradient. Batch norms have their running statistics.
func Forward(b *graph.Builder, network plan.Network, x graph.Value, classes, heads int) (logits, params []graph.Value) {
	return (&net{Builder: b, Network: network}).forward(x, 0, classes, heads)
}

// forward is Forward for an input x, beside which more channels x2 stand, or zero.
func (n *net) forward(x, x2 graph.Value, classes, heads int) (logits, params []graph.Value) {
	var levels []graph.Value
	if n.Kind == plan.PreNorm {
		levels = n.decodePreNorm(n.encodePreNorm(x, x2))
	} else {
		levels = n.decode(n.encode(x, x2))
	}
	for l, y := range levels { // 0 is the full resolution
		if l == n.Outputs() {
			break
		}
		name := fmt.Sprintf("decoder.seg_layers.%d", n.Stages()-2-l)
		w := n.param(name+".weight", 1, 1, 1, n.Features[l], classes)
		bias := n.param(name+".bias", classes)
		if l < heads {
			logits = append(logits, n.Apply(name, graph.Conv3D{Stride: one}, y, w, bias)[0])
		}
	}
	return logits, n.params
}

var one = [3]int{1, 1, 1}

// encode returns the output of each stage.
func (n *net) encode(x, x2 graph.Value) (skips []graph.Value) {
	if n.Kind == plan.Residual {
		x, x2 = n.convNormAct("encoder.stem.convs.0", x, x2, n.Features[0], n.Kernels[0], one, n.Slope), 0
	}
	for s := range n.Stages() {
		stride := n.Strides[s]
		for i := range n.Convs[s] {
			if n.Kind != plan.Plain {
				x = n.block(fmt.Sprintf("encoder.stages.%d.blocks.%d", s, i), x, s, stride)
			} else {
				x, x2 = n.convNormAct(fmt.Sprintf("encoder.stages.%d.0.convs.%d", s, i), x, x2, n.Features[s], n.Kernels[s], stride, n.Slope), 0
			}
			stride = one
		}
		skips = append(skips, x)
	}
	return skips
}

// decode returns the output of each decoder stage, full resolution first.
func (n *net) decode(skips []graph.Value) []graph.Value {
	last := n.Stages() - 1
	levels := make([]graph.Value, last)
	x := skips[last]
	for d := range last {
		l := last - 1 - d
		s := n.Strides[l+1]
		name := fmt.Sprintf("decoder.transpconvs.%d", d)
		w := n.param(name+".weight", s[0], s[1], s[2], n.Features[l+1], n.Features[l])
		var b graph.Value
		if n.HasUpBias() {
			b = n.param(name+".bias", n.Features[l])
		}
		k := n.DecoderKernel(l)
		up := n.Apply(name, graph.UpConv3D{}, x, w, b)[0]
		if a, skip := n.Type(up), n.Type(skips[l]); a.Shape.String() != skip.Shape.String() {
			n.Fail("%s: gives %v where the skip connection is %v: the patch must be a multiple of %v", name, a, skip, n.Divisor())
		}
		x = n.convNormAct(fmt.Sprintf("decoder.stages.%d.convs.0", d), up, skips[l], n.Features[l], k, one, n.Slope)
		for i := 1; i < n.DecoderConvs[d]; i++ {
			x = n.convNormAct(fmt.Sprintf("decoder.stages.%d.convs.%d", d, i), x, 0, n.Features[l], k, one, n.Slope)
		}
		levels[l] = x
	}
	return levels
}

// convNormAct is convolution, norm and leaky ReLU; slope 1 leaves the
// last one out. x2 stands beside x in C, or is zero.
func (n *net) convNormAct(name string, x, x2 graph.Value, co int, k, stride [3]int, slope float32) graph.Value {
	return n.norm(name, n.conv(name, x, x2, co, k, stride, n.ConvBias), slope)
}

func (n *net) conv(name string, x, x2 graph.Value, co int, k, stride [3]int, bias bool) graph.Value {
	ci := n.Type(x).Shape[4]
	if x2 != 0 {
		ci += n.Type(x2).Shape[4]
	}
	w := n.param(name+".conv.weight", k[0], k[1], k[2], ci, co)
	var b graph.Value
	if bias {
		b = n.param(name+".conv.bias", co)
	}
	in := []graph.Value{x, w, b}
	if x2 != 0 {
		in = append(in, x2)
	}
	return n.Apply(name+".conv", graph.Conv3D{Stride: stride}, in...)[0]
}

func (n *net) norm(name string, x graph.Value, slope float32) graph.Value {
	c := n.Type(x).Shape[4]
	gamma := n.param(name+".norm.weight", c)
	beta := n.param(name+".norm.bias", c)
	if n.Norm == plan.BatchNorm {
		return n.batchNorm(name+".norm", x, gamma, beta, slope)
	}
	op := graph.NormAct{Eps: n.NormEps, Slope: slope, Pool: graph.Pool{Groups: n.Groups}}
	return n.Apply(name+".norm", op, x, gamma, beta)[0]
}

// batchMomentum is PyTorch's: what a batch moves the running statistics by.
const batchMomentum = 0.1

// track is what moves the running statistics of a batch norm, after the backward pass.
type track struct {
	name           string
	batch, running []graph.Value // mean and variance
}

func (n *net) batchNorm(name string, x, gamma, beta graph.Value, slope float32) graph.Value {
	s := n.Type(x).Shape
	mean, variance := n.Fixed(name+".running_mean", s[4]), n.Fixed(name+".running_var", s[4])
	n.params = append(n.params, mean, variance)
	if !n.training {
		stats := n.Apply(name+".running", graph.Running{Eps: n.NormEps, N: s[0]}, mean, variance)[0]
		return n.Apply(name, graph.NormApply{Slope: slope}, x, gamma, beta, stats)[0]
	}
	out := n.Apply(name, graph.NormAct{Eps: n.NormEps, Slope: slope, Pool: graph.Pool{Batch: true, Devices: n.devices}}, x, gamma, beta)
	batch := n.Apply(name+".batch", graph.Estimate{Eps: n.NormEps, Count: s.Elems() / s[4]}, out[1])
	n.Place(batch[0], graph.IO)
	n.Place(batch[1], graph.IO)
	n.tracks = append(n.tracks, track{name, batch, []graph.Value{mean, variance}})
	return out[0]
}

// block is a residual block of stage s: two convolutions, and around them the
// identity, or where the shape changes average pooling and a 1×1×1 convolution, of the
// kind Strided one with the stride.
func (n *net) block(name string, x graph.Value, s int, stride [3]int) graph.Value {
	co, k := n.Features[s], n.Kernels[s]
	first, second := n.BlockConvs()
	y := n.convNormAct(name+first, x, 0, co, k, stride, n.Slope)
	y = n.convNormAct(name+second, y, 0, co, k, one, 1)
	skip, j := x, 0
	widens, strided := n.Type(x).Shape[4] != co, one
	switch {
	case n.Kind == plan.Strided:
		widens, strided = widens || stride != one, stride
	case stride != one:
		skip, j = n.Apply(name+".skip.0", graph.AvgPool{Stride: stride}, x)[0], 1
	}
	if widens {
		proj := fmt.Sprintf("%s.skip.%d", name, j)
		skip = n.norm(proj, n.conv(proj, skip, 0, co, one, strided, false), 1)
	}
	return n.Apply(name+".add", graph.AddAct{Slope: n.Slope}, y, skip)[0]
}
