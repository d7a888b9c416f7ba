package checkpoint

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/atomicfile"
)

// What an ONNX file says of itself.
const (
	onnxIR    = 8  // of ONNX 1.13
	onnxOpset = 17 // the first in which all that is used has its present meaning
	onnxMost  = 1<<31 - 1
)

// SaveONNX writes the only fold of m to path as an ONNX model:
//
//	input f32[batch C D H W] → logits f32[batch K D H W], without D in 2-D
//
// C H W are those of the plan's patch; the batch is free. Preprocessing, mirroring
// and blending are not in it.
func SaveONNX(path string, m *Model) error {
	if len(m.Folds) != 1 {
		return fmt.Errorf("%s: %d folds, an ONNX file has one network", path, len(m.Folds))
	}
	if err := m.check(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	b, err := m.onnx()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	err = atomicfile.Write(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (m *Model) onnx() ([]byte, error) {
	c, err := m.Config()
	if err != nil {
		return nil, err
	}
	if n := &c.Network; n.Kind != plan.Plain && n.Kind != plan.Residual || n.Norm != "" && n.Norm != plan.InstanceNorm {
		return nil, fmt.Errorf("the network is of the kind %s with %s norms: ONNX is written of the kinds %s and %s with %s norms", n.Kind, cmp.Or(n.Norm, plan.InstanceNorm), plan.Plain, plan.Residual, plan.InstanceNorm)
	}
	g := &onnxGraph{network: c.Network, dim: c.Dim, weights: m.Folds[0].Weights}
	g.build()
	spatial := c.Patch[3-c.Dim:]
	b := field(g.nodes, 2, []byte(m.Plan.Dataset+" "+m.Configuration)) // name
	b = append(b, g.initializers...)
	b = field(b, 11, valueInfo("input", m.Plan.InputChannels(c), spatial))
	b = field(b, 12, valueInfo("logits", m.Plan.Classes(), spatial))
	out := number(nil, 1, onnxIR)
	out = field(out, 2, []byte("gounet"))
	out = field(out, 7, b)
	out = field(out, 8, number(nil, 2, onnxOpset))
	if len(out) > onnxMost {
		return nil, errors.New("the network is larger than the 2 GiB that an ONNX file may have")
	}
	return out, nil
}

// onnxGraph makes the nodes of a network, as unet.Forward does.
//
// Source of field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
type onnxGraph struct {
	network             plan.Network
	dim                 int
	weights             Weights
	nodes, initializers []byte
	count               int
}

func (g *onnxGraph) build() {
	n := &g.network
	x := "input"
	if n.Kind == plan.Residual {
		x = g.layer("encoder.stem.convs.0", x, n.Kernels[0], [3]int{1, 1, 1}, true)
	}
	var skips []string
	for s := range n.Stages() {
		stride := n.Strides[s]
		for i := range n.Convs[s] {
			if n.Kind == plan.Residual {
				x = g.block(fmt.Sprintf("encoder.stages.%d.blocks.%d", s, i), x, n.Kernels[s], stride)
			} else {
				x = g.layer(fmt.Sprintf("encoder.stages.%d.0.convs.%d", s, i), x, n.Kernels[s], stride, true)
			}
			stride = [3]int{1, 1, 1}
		}
		skips = append(skips, x)
	}
	last := n.Stages() - 1
	for d := range last {
		l := last - 1 - d
		up := fmt.Sprintf("decoder.transpconvs.%d", d)
		s := ints("strides", g.axes(n.Strides[l+1])...)
		x = g.node("ConvTranspose", g.withWeights(up, x), s, ints("kernel_shape", g.axes(n.Strides[l+1])...))
		x = g.node("Concat", []string{x, skips[l]}, attribute("axis", 1))
		for i := range n.DecoderConvs[d] {
			x = g.layer(fmt.Sprintf("decoder.stages.%d.convs.%d", d, i), x, n.DecoderKernel(l), [3]int{1, 1, 1}, true)
		}
	}
	x = g.conv(fmt.Sprintf("decoder.seg_layers.%d", last-1), x, [3]int{1, 1, 1}, [3]int{1, 1, 1})
	g.nodes = field(g.nodes, 1, field(field(field(nil, 1, []byte(x)), 2, []byte("logits")), 4, []byte("Identity")))
}

// layer is convolution, norm and, if act, leaky ReLU.
func (g *onnxGraph) layer(name, x string, kernel, stride [3]int, act bool) string {
	x = g.conv(name+".conv", x, kernel, stride)
	x = g.node("InstanceNormalization", g.withWeights(name+".norm", x), real32("epsilon", g.network.NormEps))
	if act {
		x = g.leaky(x)
	}
	return x
}

func (g *onnxGraph) leaky(x string) string {
	return g.node("LeakyRelu", []string{x}, real32("alpha", g.network.Slope))
}

func (g *onnxGraph) conv(name, x string, kernel, stride [3]int) string {
	var pads []int
	for _, k := range g.axes(kernel) {
		pads = append(pads, (k-1)/2)
	}
	return g.node("Conv", g.withWeights(name, x), ints("kernel_shape", g.axes(kernel)...), ints("strides", g.axes(stride)...), ints("pads", append(pads, pads...)...))
}

// block is a residual block.
func (g *onnxGraph) block(name, x string, kernel, stride [3]int) string {
	y := g.layer(name+".conv1", x, kernel, stride, true)
	y = g.layer(name+".conv2", y, kernel, [3]int{1, 1, 1}, false)
	skip, j := x, 0
	if stride != [3]int{1, 1, 1} {
		skip, j = g.node("AveragePool", []string{x}, ints("kernel_shape", g.axes(stride)...), ints("strides", g.axes(stride)...)), 1
	}
	proj := fmt.Sprintf("%s.skip.%d", name, j)
	if _, ok := g.weights[proj+".conv.weight"]; ok {
		skip = g.layer(proj, skip, [3]int{1, 1, 1}, [3]int{1, 1, 1}, false)
	}
	return g.leaky(g.node("Add", []string{y, skip}))
}

func (g *onnxGraph) axes(v [3]int) []int { return v[3-g.dim:] }

// withWeights adds weight and bias of a layer to the inputs, and to the file.
func (g *onnxGraph) withWeights(name string, in ...string) []string {
	for _, part := range []string{".weight", ".bias"} {
		t, ok := g.weights[name+part]
		if !ok {
			continue
		}
		var b []byte
		for _, n := range t.Shape {
			b = number(b, 1, n)
		}
		b = number(b, 2, onnxFloat)
		b = field(b, 8, []byte(name+part))
		b = field(b, 9, littleEndian(t.Data))
		g.initializers = field(g.initializers, 5, b)
		in = append(in, name+part)
	}
	return in
}

// node adds a node and returns the name of its output.
func (g *onnxGraph) node(op string, in []string, attributes ...[]byte) string {
	g.count++
	out := fmt.Sprintf("%s_%d", op, g.count)
	var b []byte
	for _, x := range in {
		b = field(b, 1, []byte(x))
	}
	b = field(b, 2, []byte(out))
	b = field(b, 3, []byte(out))
	b = field(b, 4, []byte(op))
	for _, a := range attributes {
		b = field(b, 5, a)
	}
	g.nodes = field(g.nodes, 1, b)
	return out
}

const (
	onnxFloat    = 1 // TensorProto.FLOAT
	attributeF   = 1 // AttributeProto.FLOAT
	attributeI   = 2
	attributeIs  = 7
	fieldAttType = 20
)

func ints(name string, v ...int) []byte {
	b := field(nil, 1, []byte(name))
	for _, x := range v {
		b = number(b, 8, x)
	}
	return number(b, fieldAttType, attributeIs)
}

func attribute(name string, v int) []byte {
	return number(number(field(nil, 1, []byte(name)), 3, v), fieldAttType, attributeI)
}

func real32(name string, v float32) []byte {
	b := protowire.AppendTag(field(nil, 1, []byte(name)), 2, protowire.Fixed32Type)
	return number(protowire.AppendFixed32(b, math.Float32bits(v)), fieldAttType, attributeF)
}

// valueInfo is an input or output with a free batch.
func valueInfo(name string, channels int, spatial []int) []byte {
	shape := field(nil, 1, field(nil, 2, []byte("batch")))
	shape = field(shape, 1, number(nil, 1, channels))
	for _, n := range spatial {
		shape = field(shape, 1, number(nil, 1, n))
	}
	tensor := field(number(nil, 1, onnxFloat), 2, shape)
	return field(field(nil, 1, []byte(name)), 2, field(nil, 1, tensor))
}

// littleEndian are the bytes of data.
func littleEndian(data []float32) []byte {
	b := make([]byte, 0, 4*len(data))
	for _, x := range data {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

// field appends bytes, a string or a message.
func field(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

func number(b []byte, n protowire.Number, v int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
}
