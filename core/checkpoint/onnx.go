package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
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
	g := &onnxGraph{dim: c.Dim, weights: m.Folds[0].Weights, names: map[graph.Value]string{}, made: map[graph.Value]graph.Node{}}
	if err := g.network(c, m.Plan.InputChannels(c), m.Plan.Classes()); err != nil {
		return nil, err
	}
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

// onnxGraph writes the graph of a network as nodes of ONNX. Values have ONNX's axes
// N C D H W, parameters PyTorch's.
//
// Source of field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
type onnxGraph struct {
	*graph.Graph
	dim                 int
	weights             Weights
	names               map[graph.Value]string     // of what is in the file
	made                map[graph.Value]graph.Node // by their results
	nodes, initializers []byte
	count               int
}

// network adds the network of c up to the logits of the full resolution.
func (g *onnxGraph) network(c *plan.Configuration, in, classes int) (err error) {
	g.Graph, err = graph.Build(func(b *graph.Builder) []graph.Value {
		x := b.Declare("input", graph.IO, graph.F32, 1, c.Patch[0], c.Patch[1], c.Patch[2], in)
		g.names[x] = "input"
		logits, _ := unet.Forward(b, c.Network, x, classes, 1)
		return logits
	})
	if err != nil {
		return err
	}
	for _, n := range g.Nodes {
		for _, y := range n.Out {
			g.made[y] = n
		}
		if err := g.add(n); err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	x := g.names[g.Outputs[0]]
	g.nodes = field(g.nodes, 1, field(field(field(nil, 1, []byte(x)), 2, []byte("logits")), 4, []byte("Identity")))
	return nil
}

// add writes what n computes.
func (g *onnxGraph) add(n graph.Node) error {
	var y string
	switch op := n.Op.(type) {
	case graph.Conv3D:
		y = g.conv(op, n.In)
	case graph.UpConv3D:
		size := g.Type(n.In[1]).Shape
		y = g.node("ConvTranspose", g.inputs(n.In), ints("strides", g.axes(size)...), ints("kernel_shape", g.axes(size)...))
	case graph.NormAct:
		y = g.leaky(g.norm(op, n.In), op.Slope)
	case graph.Running:
		return nil // a part of NormApply
	case graph.NormApply:
		running, ok := g.made[n.In[3]].Op.(graph.Running)
		if !ok {
			return fmt.Errorf("ONNX has no norm by statistics of a %T", g.made[n.In[3]].Op)
		}
		in := append(slices.Clone(n.In[:3]), g.made[n.In[3]].In...)
		y = g.leaky(g.node("BatchNormalization", g.inputs(in), real32("epsilon", running.Eps)), op.Slope)
	case graph.AvgPool:
		y = g.node("AveragePool", g.inputs(n.In), ints("kernel_shape", g.axes(op.Stride[:])...), ints("strides", g.axes(op.Stride[:])...))
	case graph.AddAct:
		y = g.leaky(g.node("Add", g.inputs(n.In)), op.Slope)
	case graph.ActGrad:
		y = g.leaky(g.names[n.In[0]], op.Slope) // the networks have it of x and x
	case graph.Enlarge:
		scales := []float32{1, 1}
		for _, s := range g.axes(op.Stride[:]) {
			scales = append(scales, float32(s))
		}
		s := g.floats(n.Name+".scales", []int{len(scales)}, scales)
		y = g.node("Resize", []string{g.names[n.In[0]], "", s}, text("mode", "linear"), text("coordinate_transformation_mode", "align_corners"))
	default:
		return fmt.Errorf("a %T is not written as ONNX", op)
	}
	g.names[n.Out[0]] = y
	return nil
}

func (g *onnxGraph) conv(op graph.Conv3D, in []graph.Value) string {
	x := g.names[in[0]]
	if len(in) == 4 {
		x = g.node("Concat", []string{x, g.names[in[3]]}, attribute("axis", 1))
	}
	kernel := g.axes(g.Type(in[1]).Shape)
	var pads []int
	for _, k := range kernel {
		pads = append(pads, (k-1)/2)
	}
	return g.node("Conv", append([]string{x}, g.inputs(in[1:3])...), ints("kernel_shape", kernel...), ints("strides", g.axes(op.Stride[:])...), ints("pads", append(pads, pads...)...))
}

// norm is an instance norm. One of groups is that of an image with a channel for each
// group, and the affine parameters behind it: opset 17 has no other.
func (g *onnxGraph) norm(op graph.NormAct, in []graph.Value) string {
	eps := real32("epsilon", op.Eps)
	if op.Groups == 0 {
		return g.node("InstanceNormalization", g.inputs(in), eps)
	}
	name := g.Info(in[1]).Name
	whole := g.Type(in[0]).Shape
	vector := append([]int{whole[4]}, slices.Repeat([]int{1}, g.dim)...)
	x := g.node("Reshape", []string{g.names[in[0]], g.int64s(name+".groups", 0, op.Groups, -1)})
	x = g.node("InstanceNormalization", []string{
		x, g.floats(name+".ones", []int{op.Groups}, fill(op.Groups, true)), g.floats(name+".zeros", []int{op.Groups}, fill(op.Groups, false)),
	}, eps)
	x = g.node("Reshape", []string{x, g.int64s(name+".shape", append([]int{0, whole[4]}, g.axes(whole[1:])...)...)})
	x = g.node("Mul", []string{x, g.floats(name, vector, g.weights[name].Data)})
	shift := g.Info(in[2]).Name
	return g.node("Add", []string{x, g.floats(shift, vector, g.weights[shift].Data)})
}

// leaky is x with a leaky ReLU, of the slope 1 x itself.
func (g *onnxGraph) leaky(x string, slope float32) string {
	if slope == 1 {
		return x
	}
	return g.node("LeakyRelu", []string{x}, real32("alpha", slope))
}

// axes are those of D H W, which v begins with, that the network has.
func (g *onnxGraph) axes(v []int) []int { return v[3-g.dim : 3] }

// inputs are the names of values; parameters come into the file when they are used.
func (g *onnxGraph) inputs(in []graph.Value) (names []string) {
	for _, v := range in {
		if v == 0 {
			continue
		}
		if _, ok := g.names[v]; !ok {
			name := g.Info(v).Name
			g.names[v] = g.floats(name, g.weights[name].Shape, g.weights[name].Data)
		}
		names = append(names, g.names[v])
	}
	return names
}

// floats adds a constant and returns its name.
func (g *onnxGraph) floats(name string, shape []int, data []float32) string {
	return g.constant(name, onnxFloat, shape, littleEndian(data))
}

func (g *onnxGraph) int64s(name string, data ...int) string {
	var raw []byte
	for _, x := range data {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	return g.constant(name, onnxInt64, []int{len(data)}, raw)
}

func (g *onnxGraph) constant(name string, kind int, shape []int, raw []byte) string {
	var b []byte
	for _, n := range shape {
		b = number(b, 1, n)
	}
	b = number(b, 2, kind)
	b = field(b, 8, []byte(name))
	b = field(b, 9, raw)
	g.initializers = field(g.initializers, 5, b)
	return name
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
	onnxInt64    = 7
	attributeF   = 1 // AttributeProto.FLOAT
	attributeI   = 2
	attributeS   = 3
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

func text(name, v string) []byte {
	return number(field(field(nil, 1, []byte(name)), 4, []byte(v)), fieldAttType, attributeS)
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
