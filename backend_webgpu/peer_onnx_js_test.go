package webgpu

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"

	"github.com/gounet/gounet/core/graph"
)

// message is an ONNX message (onnx.proto) that is being written.
type message []byte

// int and bytes add a field.
func (m *message) int(field int, v uint64) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3)
	*m = binary.AppendUvarint(*m, v)
}

func (m *message) bytes(field int, b []byte) {
	*m = binary.AppendUvarint(*m, uint64(field)<<3|2)
	*m = binary.AppendUvarint(*m, uint64(len(b)))
	*m = append(*m, b...)
}

// tensor is a TensorProto of floats.
func tensor(name string, shape []int, values []float32) message {
	var m message
	for _, n := range shape {
		m.int(1, uint64(n)) // dims
	}
	m.int(2, 1) // data_type: float
	m.bytes(8, []byte(name))
	m.bytes(9, raw(values))
	return m
}

func raw(values []float32) []byte {
	b := make([]byte, 0, 4*len(values))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// described is a ValueInfoProto of floats.
func described(name string, shape []int) message {
	var dims, kind, of, m message
	for _, n := range shape {
		var d message
		d.int(1, uint64(n))
		dims.bytes(1, d)
	}
	kind.int(1, 1) // elem_type: float
	kind.bytes(2, dims)
	of.bytes(1, kind)
	m.bytes(1, []byte(name))
	m.bytes(2, of)
	return m
}

// node is a NodeProto whose attributes are lists of integers.
func node(op string, in []string, out string, attributes map[string][]int) message {
	var m message
	for _, n := range in {
		m.bytes(1, []byte(n))
	}
	m.bytes(2, []byte(out))
	m.bytes(3, []byte(op))
	m.bytes(4, []byte(op))
	for name, list := range attributes {
		var a message
		a.bytes(1, []byte(name))
		if name == "axis" {
			a.int(3, uint64(list[0]))
			a.int(20, 2) // type: INT
		} else {
			for _, n := range list {
				a.int(8, uint64(n))
			}
			a.int(20, 7) // type: INTS
		}
		m.bytes(5, a)
	}
	return m
}

// model is a layer as an ONNX model from x, and x2 where it has one, to y, in
// PyTorch's order of axes: [N C D H W].
func (l layer) model(w, b []float32, y graph.Shape) message {
	var g message
	in := []string{"x"}
	channels := l.w[3]
	g.bytes(11, described("x", channelsFirst(l.x)))
	if l.x2 > 0 {
		x2 := append(graph.Shape{}, l.x...)
		x2[4] = l.x2
		g.bytes(11, described("x2", channelsFirst(x2)))
		g.bytes(1, node("Concat", []string{"x", "x2"}, "both", map[string][]int{"axis": {1}}))
		in[0] = "both"
	}
	stride := l.op.(graph.Conv3D).Stride
	var pads []int
	for _, k := range append(l.w[:3:3], l.w[:3]...) {
		pads = append(pads, (k-1)/2)
	}
	g.bytes(1, node("Conv", append(in, "w", "b"), "y", map[string][]int{
		"kernel_shape": l.w[:3], "strides": stride[:], "pads": pads,
	}))
	g.bytes(2, []byte("layer"))
	taps, co := l.w[0]*l.w[1]*l.w[2], l.w[4]
	first := make([]float32, len(w)) // [Co C kD kH kW]
	for k := range taps {
		for c := range channels {
			for o := range co {
				first[(o*channels+c)*taps+k] = w[(k*channels+c)*co+o]
			}
		}
	}
	g.bytes(5, tensor("w", []int{co, channels, l.w[0], l.w[1], l.w[2]}, first))
	g.bytes(5, tensor("b", []int{co}, b))
	g.bytes(12, described("y", channelsFirst(y)))
	var m, opset message
	opset.int(2, 18)
	m.int(1, 9) // ir_version
	m.bytes(7, g)
	m.bytes(8, opset)
	return m
}

// channelsFirst is the shape [N D H W C] as [N C D H W].
func channelsFirst(s graph.Shape) []int { return []int{s[0], s[4], s[1], s[2], s[3]} }

// fields are those of a message: the bytes of each, none for a number.
func fields(m []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for len(m) > 0 {
			key, n := binary.Uvarint(m)
			m = m[n:]
			var b []byte
			switch key & 7 {
			case 0:
				_, n := binary.Uvarint(m)
				m = m[n:]
			case 2:
				size, n := binary.Uvarint(m)
				b, m = m[n:n+int(size)], m[n+int(size):]
			case 5:
				m = m[4:]
			default:
				panic(fmt.Sprintf("a field of wire type %d", key&7))
			}
			if !yield(int(key>>3), b) {
				return
			}
		}
	}
}

// initializers are the weights of a model by their names, and nodes the names of
// its nodes of an op.
func initializers(model []byte, op string) (weights map[string][]float32, nodes []any) {
	weights = map[string][]float32{}
	for f, g := range fields(model) {
		if f != 7 {
			continue
		}
		for f, m := range fields(g) {
			if f != 1 && f != 5 { // neither a node nor an initializer
				continue
			}
			part := map[int]string{}
			for k, b := range fields(m) {
				part[k] = string(b)
			}
			switch {
			case f == 5:
				var v []float32
				for i := 0; i < len(part[9]); i += 4 {
					v = append(v, math.Float32frombits(binary.LittleEndian.Uint32([]byte(part[9][i:i+4]))))
				}
				weights[part[8]] = v
			case f == 1 && part[4] == op:
				nodes = append(nodes, part[3])
			}
		}
	}
	return weights, nodes
}
