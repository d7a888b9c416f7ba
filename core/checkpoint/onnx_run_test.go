package checkpoint

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// tensor64 has ONNX's axes.
type tensor64 struct {
	shape []int
	data  []float64
}

// five are the axes of an image of 2 or 3 dimensions, with D.
func (x tensor64) five() (s [5]int) {
	s = [5]int{x.shape[0], x.shape[1], 1, 1, 1}
	copy(s[7-len(x.shape):], x.shape[2:])
	return s
}

// onnxNode is a node with its attributes.
type onnxNode struct {
	op      string
	in, out []string
	ints    map[string][]int
	float   map[string]float64
	text    map[string]string
}

// size is an attribute of D H W, of ones where it is not there or in 2-D.
func (n *onnxNode) size(name string) [3]int {
	s := [3]int{1, 1, 1}
	v := n.ints[name]
	copy(s[3-len(v):], v)
	return s
}

// runONNX computes logits of an input by the definition of the ops.
// Source: https://onnx.ai/onnx/operators/
func runONNX(t *testing.T, file []byte, x tensor64) tensor64 {
	values := map[string]tensor64{"input": x, "": {}}
	var nodes []*onnxNode
	onnxFields(t, file, func(n protowire.Number, graph []byte) {
		if n != 7 {
			return
		}
		onnxFields(t, graph, func(n protowire.Number, v []byte) {
			switch n {
			case 1:
				nodes = append(nodes, readNode(t, v))
			case 5:
				name, c := readConstant(t, v)
				require.NotContains(t, values, name, "a constant is there once")
				values[name] = c
			}
		})
	})
	for _, n := range nodes {
		var in []tensor64
		for _, name := range n.in {
			require.Contains(t, values, name, n.op)
			in = append(in, values[name])
		}
		require.Len(t, n.out, 1)
		values[n.out[0]] = n.run(t, in)
	}
	return values["logits"]
}

// onnxNumbers are the values of a repeated field of numbers.
func onnxNumbers(t *testing.T, b []byte, want protowire.Number) (v []int) {
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		b = b[size:]
		if x, size := protowire.ConsumeVarint(b); n == want && kind == protowire.VarintType && size > 0 {
			v = append(v, int(x))
		}
		size = protowire.ConsumeFieldValue(n, kind, b)
		require.Positive(t, size)
		b = b[size:]
	}
	return v
}

func readConstant(t *testing.T, b []byte) (name string, c tensor64) {
	kind := onnxNumbers(t, b, 2)
	c.shape = onnxNumbers(t, b, 1)
	onnxFields(t, b, func(n protowire.Number, v []byte) {
		switch n {
		case 8:
			name = string(v)
		case 9:
			for ; len(v) > 0 && kind[0] == onnxFloat; v = v[4:] {
				c.data = append(c.data, float64(math.Float32frombits(binary.LittleEndian.Uint32(v))))
			}
			for ; len(v) > 0; v = v[8:] {
				c.data = append(c.data, float64(int64(binary.LittleEndian.Uint64(v))))
			}
		}
	})
	require.Len(t, c.data, product(c.shape), name)
	return name, c
}

func readNode(t *testing.T, b []byte) *onnxNode {
	node := &onnxNode{ints: map[string][]int{}, float: map[string]float64{}, text: map[string]string{}}
	onnxFields(t, b, func(n protowire.Number, v []byte) {
		switch n {
		case 1:
			node.in = append(node.in, string(v))
		case 2:
			node.out = append(node.out, string(v))
		case 4:
			node.op = string(v)
		case 5:
			name := ""
			onnxFields(t, v, func(n protowire.Number, s []byte) {
				switch n {
				case 1:
					name = string(s)
				case 4:
					node.text[name] = string(s)
				}
			})
			node.ints[name] = append(onnxNumbers(t, v, 3), onnxNumbers(t, v, 8)...)
			for len(v) > 0 {
				n, kind, size := protowire.ConsumeTag(v)
				v = v[size:]
				if bits, _ := protowire.ConsumeFixed32(v); kind == protowire.Fixed32Type {
					node.float[name] = float64(math.Float32frombits(bits))
				}
				v = v[protowire.ConsumeFieldValue(n, kind, v):]
			}
		}
	})
	return node
}

func (n *onnxNode) run(t *testing.T, in []tensor64) tensor64 {
	x := in[0]
	each := func(f func(i, c int, v float64) float64) tensor64 { // c: channel
		y := tensor64{x.shape, make([]float64, len(x.data))}
		voxels := product(x.shape[2:])
		for i, v := range x.data {
			y.data[i] = f(i, i/voxels%x.shape[1], v)
		}
		return y
	}
	switch n.op {
	case "Identity":
		return x
	case "LeakyRelu":
		return each(func(_, _ int, v float64) float64 {
			if v < 0 {
				return v * n.float["alpha"]
			}
			return v
		})
	case "Add", "Mul":
		b := in[1]
		if slices.Equal(b.shape, x.shape) {
			return each(func(i, _ int, v float64) float64 { return v + b.data[i] })
		}
		require.Equal(t, append([]int{x.shape[1]}, slices.Repeat([]int{1}, len(x.shape)-2)...), b.shape)
		return each(func(_, c int, v float64) float64 {
			if n.op == "Mul" {
				return v * b.data[c]
			}
			return v + b.data[c]
		})
	case "BatchNormalization":
		return each(func(_, c int, v float64) float64 {
			return (v-in[3].data[c])/math.Sqrt(in[4].data[c]+n.float["epsilon"])*in[1].data[c] + in[2].data[c]
		})
	case "InstanceNormalization":
		voxels := product(x.shape[2:])
		mean, variance := make([]float64, len(x.data)/voxels), make([]float64, len(x.data)/voxels)
		for i, v := range x.data {
			mean[i/voxels] += v / float64(voxels)
		}
		for i, v := range x.data {
			variance[i/voxels] += (v - mean[i/voxels]) * (v - mean[i/voxels]) / float64(voxels)
		}
		return each(func(i, c int, v float64) float64 {
			return (v-mean[i/voxels])/math.Sqrt(variance[i/voxels]+n.float["epsilon"])*in[1].data[c] + in[2].data[c]
		})
	case "Reshape":
		y := tensor64{data: x.data}
		known := 1
		for i, v := range in[1].data {
			y.shape = append(y.shape, int(v))
			if v == 0 {
				y.shape[i] = x.shape[i]
			}
			known *= max(1, y.shape[i]) // without -1
		}
		if i := slices.Index(y.shape, -1); i >= 0 {
			y.shape[i] = len(x.data) / known
		}
		require.Len(t, y.data, product(y.shape))
		return y
	case "Concat":
		require.Equal(t, []int{1}, n.ints["axis"])
		y := tensor64{shape: slices.Clone(x.shape)}
		y.shape[1] += in[1].shape[1]
		a, b := len(x.data)/x.shape[0], len(in[1].data)/x.shape[0]
		for i := range x.shape[0] {
			y.data = append(append(y.data, x.data[i*a:(i+1)*a]...), in[1].data[i*b:(i+1)*b]...)
		}
		return y
	}
	return n.window(t, in)
}

// window runs the ops that make a voxel of several: y[o] = Σ x[i]·weight(o, i).
func (n *onnxNode) window(t *testing.T, in []tensor64) tensor64 {
	x, s := in[0], in[0].five()
	stride, kernel := n.size("strides"), n.size("kernel_shape")
	out := s
	var w func(co int, o [3]int, get func(ci int, i [3]int) float64) float64
	switch n.op {
	case "Conv":
		k := in[1].five()
		require.Equal(t, kernel, [3]int(k[2:]), "kernel_shape is that of the weights")
		require.Equal(t, s[1], k[1])
		pads := n.ints["pads"]
		require.Equal(t, pads[:len(pads)/2], pads[len(pads)/2:])
		pad := [3]int{}
		copy(pad[3-len(pads)/2:], pads)
		out[1] = k[0]
		for a := range 3 {
			out[2+a] = (s[2+a]+2*pad[a]-kernel[a])/stride[a] + 1
		}
		w = func(co int, o [3]int, get func(int, [3]int) float64) (sum float64) {
			at := co * product(k[1:])
			for ci := range k[1] {
				over(kernel, func(tap [3]int) {
					i := [3]int{}
					for a := range 3 {
						i[a] = o[a]*stride[a] + tap[a] - pad[a]
					}
					sum += in[1].data[at] * get(ci, i)
					at++
				})
			}
			if len(in) > 2 {
				sum += in[2].data[co]
			}
			return sum
		}
	case "ConvTranspose":
		k := in[1].five()
		require.Equal(t, kernel, stride)
		require.Equal(t, kernel, [3]int(k[2:]))
		out[1] = k[1]
		for a := range 3 {
			out[2+a] *= stride[a]
		}
		w = func(co int, o [3]int, get func(int, [3]int) float64) (sum float64) {
			i, tap := [3]int{}, 0
			for a := range 3 {
				i[a], tap = o[a]/stride[a], tap*kernel[a]+o[a]%stride[a]
			}
			for ci := range k[0] {
				sum += in[1].data[(ci*k[1]+co)*product(kernel[:])+tap] * get(ci, i)
			}
			if len(in) > 2 {
				sum += in[2].data[co]
			}
			return sum
		}
	case "AveragePool":
		require.Equal(t, kernel, stride)
		for a := range 3 {
			out[2+a] /= stride[a]
		}
		w = func(co int, o [3]int, get func(int, [3]int) float64) (sum float64) {
			over(kernel, func(tap [3]int) {
				sum += get(co, [3]int{o[0]*stride[0] + tap[0], o[1]*stride[1] + tap[1], o[2]*stride[2] + tap[2]}) / float64(product(kernel[:]))
			})
			return sum
		}
	case "Resize":
		require.Equal(t, map[string]string{"mode": "linear", "coordinate_transformation_mode": "align_corners"}, n.text)
		scales := in[2].data
		require.Equal(t, []float64{1, 1}, scales[:2])
		for a, f := range scales[2:] {
			out[7-len(scales)+a] *= int(f)
		}
		w = func(co int, o [3]int, get func(int, [3]int) float64) (sum float64) {
			over([3]int{2, 2, 2}, func(corner [3]int) {
				weight, i := 1.0, [3]int{}
				for a := range 3 {
					at := 0.0
					if out[2+a] > 1 {
						at = float64(o[a]*(s[2+a]-1)) / float64(out[2+a]-1)
					}
					i[a] = min(int(at), s[2+a]-1) + corner[a]
					weight *= max(0, 1-math.Abs(at-float64(i[a])))
				}
				sum += weight * get(co, i)
			})
			return sum
		}
	default:
		require.Fail(t, "the op is not defined here: "+n.op)
	}
	y := tensor64{shape: append([]int{out[0], out[1]}, out[7-len(x.shape):]...)}
	for b := range out[0] {
		get := func(c int, i [3]int) float64 {
			for a := range 3 {
				if i[a] < 0 || i[a] >= s[2+a] {
					return 0
				}
			}
			return x.data[(((b*s[1]+c)*s[2]+i[0])*s[3]+i[1])*s[4]+i[2]]
		}
		for c := range out[1] {
			over([3]int(out[2:]), func(o [3]int) { y.data = append(y.data, w(c, o, get)) })
		}
	}
	return y
}

// over calls f for each place of a box, the last axis first.
func over(size [3]int, f func([3]int)) {
	for z := range size[0] {
		for y := range size[1] {
			for x := range size[2] {
				f([3]int{z, y, x})
			}
		}
	}
}
