package unet

import (
	"fmt"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// encodePreNorm is encode of the kind PreNorm: two layers a stage, but a convolution,
// norm, ReLU, convolution and ReLU in the first.
func (n *net) encodePreNorm(x, x2 graph.Value) (skips []graph.Value) {
	for s := range n.Stages() {
		name := fmt.Sprintf("encoder.stages.%d.0.convs.", s)
		if s == 0 {
			x = n.convNormAct(name+"0", x, x2, n.Features[0], n.Kernels[0], one, n.Slope)
			x = n.act(name+"1", n.conv(name+"1", x, 0, n.Features[0], n.Kernels[0], one, n.ConvBias))
		} else {
			x = n.layer(name+"0", x, n.Features[s], n.Kernels[s], n.Strides[s])
			x = n.layer(name+"1", x, n.Features[s], n.Kernels[s], one)
		}
		skips = append(skips, x)
	}
	return skips
}

// decodePreNorm is decode of the kind PreNorm. The norm over what is enlarged and the
// skip connection beside it is a norm of each: it has statistics of channels.
func (n *net) decodePreNorm(skips []graph.Value) []graph.Value {
	last := n.Stages() - 1
	levels := make([]graph.Value, last)
	x := skips[last]
	for d := range last {
		l := last - 1 - d
		name := fmt.Sprintf("decoder.stages.%d.convs.", d)
		up := n.Apply(fmt.Sprintf("decoder.enlarge.%d", d), graph.Enlarge{Stride: n.Strides[l+1]}, x)[0]
		up, skip := n.norm(name+"0"+plan.NormUp, up, 1), n.norm(name+"0"+plan.NormSkip, skips[l], 1)
		x = n.act(name+"0", n.conv(name+"0", up, skip, n.Features[l], n.DecoderKernel(l), one, n.ConvBias))
		x = n.layer(name+"1", x, n.Features[l], n.DecoderKernel(l), one)
		levels[l] = x
	}
	return levels
}

// layer is norm, convolution and ReLU.
func (n *net) layer(name string, x graph.Value, co int, k, stride [3]int) graph.Value {
	return n.act(name, n.conv(name, n.norm(name, x, 1), 0, co, k, stride, n.ConvBias))
}

func (n *net) act(name string, x graph.Value) graph.Value {
	return n.Apply(name+".act", graph.ActGrad{Slope: n.Slope}, x, x)[0]
}
