package backendtest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/gounet/gounet/core/graph"
)

// cases is the table: every op of core/graph has at least one, which a test
// checks.
func cases() []testCase {
	return slices.Concat(convCases(), upConvCases(), elementCases(), enlargeCases(), normCases(),
		segCases(), hardestCases(), lossCases(), stepCases(), tileCases(), labelCases(), cutCases(), augmentCases())
}

// source draws the numbers of a case.
type source struct{ *rand.Rand }

func newSource(seed int) source { return source{rand.New(rand.NewPCG(uint64(seed), 2))} }

// eighths are k/8, |k| ≤ 8. Sums of up to 2^18 products of two of them are
// multiples of 2^-6 below 2^18: exact in float32, in any order.
func (s source) eighths(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(s.IntN(17)-8) / 8
	}
	return v
}

func (s source) normal(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = s.NormFloat64()
	}
	return v
}

// labels below classes, and now and then extra.
func (s source) labels(n, classes int, extra ...int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(s.IntN(classes))
		if len(extra) > 0 && s.IntN(5) == 0 {
			v[i] = float64(extra[s.IntN(len(extra))])
		}
	}
	return v
}

// data draws elements.
type data func(n int) []float64

func constant(x float64) data {
	return func(n int) []float64 { return slices.Repeat([]float64{x}, n) }
}

func fixed(v []float64) data { return func(int) []float64 { return v } }

// activation is an operand of type T.
func activation(name string, d data, shape ...int) operand {
	return operand{name: name, region: graph.IO, dtype: graph.T, shape: shape, data: d(graph.Shape(shape).Elems())}
}

// float is an f32 operand.
func float(name string, r graph.Region, d data, shape ...int) operand {
	return operand{name: name, region: r, dtype: graph.F32, shape: shape, data: d(graph.Shape(shape).Elems())}
}

// bytesOf is an operand of labels.
func bytesOf(name string, d data, shape ...int) operand {
	return operand{name: name, region: graph.IO, dtype: graph.U8, shape: shape, data: d(graph.Shape(shape).Elems())}
}

// ctlOf is a ctl of n slots, with odd values where slots are not set: ops read
// and write their own only.
func ctlOf(n int, slots map[int]float64) operand {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(i) + 0.25
		if x, ok := slots[i]; ok {
			v[i] = x
		}
	}
	return float("ctl", graph.IO, fixed(v), n)
}

// convSpec is a convolution: N samples of size voxels, C1 (+ C2) → Co channels.
type convSpec struct {
	name                 string
	n                    int
	size, kernel, stride [3]int
	c1, c2, co           int
}

var (
	k333 = [3]int{3, 3, 3}
	k133 = [3]int{1, 3, 3}
	k111 = [3]int{1, 1, 1}
	k222 = [3]int{2, 2, 2}
	k122 = [3]int{1, 2, 2}
)

var convSpecs = []convSpec{
	{"2-D", 2, [3]int{1, 9, 7}, k133, k111, 3, 0, 8},
	{"2-D stride 2", 2, [3]int{1, 10, 7}, k133, k122, 8, 0, 16},
	{"first layer", 1, [3]int{4, 6, 19}, k333, k111, 1, 0, 32},
	{"stride 2 of odd sizes", 1, [3]int{5, 7, 9}, k333, k222, 8, 0, 16},
	{"stride 2 of even sizes", 2, [3]int{4, 6, 8}, k333, k222, 16, 0, 33},
	{"kernel 1×3×3", 1, [3]int{3, 6, 9}, k133, k111, 16, 0, 17},
	{"kernel 1×3×3 stride 1×2×2", 1, [3]int{3, 7, 9}, k133, k122, 16, 0, 17},
	{"kernel 3×3×3 stride 1×2×1", 2, [3]int{3, 5, 6}, k333, [3]int{1, 2, 1}, 5, 0, 2},
	{"kernel 5×3×1 stride 2×1×3", 1, [3]int{6, 4, 7}, [3]int{5, 3, 1}, [3]int{2, 1, 3}, 3, 0, 5},
	{"kernel 3×1×1", 1, [3]int{5, 2, 3}, [3]int{3, 1, 1}, k111, 2, 0, 3},
	{"two inputs", 2, [3]int{4, 6, 5}, k333, k111, 8, 8, 8},
	{"two unequal inputs", 1, [3]int{2, 3, 5}, k333, k111, 16, 17, 33},
	{"two inputs stride 2", 1, [3]int{4, 5, 6}, k333, k222, 3, 2, 5},
	{"two inputs kernel 1×1×1", 3, [3]int{2, 3, 4}, k111, k111, 1, 2, 3},
	{"head", 2, [3]int{3, 4, 11}, k111, k111, 32, 0, 3},
	{"one voxel", 1, k111, k333, k111, 33, 0, 32},
	{"one voxel stride 2", 3, k111, k333, k222, 5, 0, 8},
	{"two voxels stride 2", 1, [3]int{1, 1, 2}, k333, k222, 2, 0, 2},
	{"long rows", 1, [3]int{2, 2, 67}, k333, k111, 8, 0, 16},
	{"wide channels", 1, [3]int{2, 3, 18}, k333, k111, 32, 0, 32},
	{"stride 1×1×1 kernel 1×1×1 one channel", 3, [3]int{2, 2, 2}, k111, k111, 1, 0, 1},
	{"stride 3 above the kernel 1", 1, [3]int{4, 7, 5}, k111, [3]int{3, 3, 3}, 3, 0, 2},
}

// widths are the numbers of channels around the widths of vectors and tiles.
var widths = []int{1, 2, 3, 5, 8, 16, 17, 32, 33}

func convCases() []testCase {
	var cs []testCase
	for i, s := range convSpecs {
		r := newSource(i)
		cs = append(cs, s.cases("", r.eighths, true)...)
		if s.n == 1 {
			cs = append(cs, s.cases(" normal", r.normal, false)...)
		}
	}
	for _, c := range widths {
		for _, co := range widths {
			s := convSpec{fmt.Sprintf("%d to %d channels", c, co), 1, [3]int{1, 2, 5}, k333, k111, c, 0, co}
			cs = append(cs, s.cases("", newSource(c*100+co).eighths, true)...)
		}
	}
	return cs
}

// cases are the convolution and its two adjoints.
func (s convSpec) cases(suffix string, d data, exactly bool) []testCase {
	x := graph.Shape{s.n, s.size[0], s.size[1], s.size[2], s.c1}
	y := graph.Shape{s.n, 0, 0, 0, s.co}
	for a := range 3 {
		y[a+1] = (s.size[a] + s.stride[a] - 1) / s.stride[a]
	}
	w := graph.Shape{s.kernel[0], s.kernel[1], s.kernel[2], s.c1 + s.c2, s.co}
	inputs := []operand{activation("x", d, x...)}
	shapes := []graph.Shape{x}
	if s.c2 > 0 {
		x2 := slices.Clone(x)
		x2[4] = s.c2
		shapes = append(shapes, x2)
		inputs = append(inputs, activation("x2", d, x2...))
	}
	weight := float("w", graph.Weights, d, w...)
	dy := activation("dy", d, y...)
	forward := slices.Concat(inputs[:1], []operand{weight, float("b", graph.Weights, d, s.co)}, inputs[1:])
	return []testCase{
		{name: s.name + suffix, op: graph.Conv3D{Stride: s.stride}, in: forward, exact: exactly},
		{name: s.name + suffix, op: graph.Conv3DGradInput{Stride: s.stride, X: shapes}, in: []operand{dy, weight}, exact: exactly},
		{
			name: s.name + suffix, op: graph.Conv3DGradWeight{Stride: s.stride, Kernel: s.kernel},
			in: append([]operand{dy}, inputs...), exact: exactly,
		},
	}
}

func upConvCases() []testCase {
	specs := []convSpec{
		{"stride 2", 2, [3]int{2, 3, 4}, [3]int{}, k222, 16, 0, 8},
		{"stride 1×2×2", 1, [3]int{3, 2, 5}, [3]int{}, k122, 17, 0, 33},
		{"stride 2×1×1", 1, [3]int{2, 3, 3}, [3]int{}, [3]int{2, 1, 1}, 3, 0, 5},
		{"stride 1×3×2", 1, [3]int{1, 3, 3}, [3]int{}, [3]int{1, 3, 2}, 5, 0, 2},
		{"stride 1", 1, [3]int{2, 2, 2}, [3]int{}, k111, 2, 0, 3},
		{"one voxel", 3, k111, [3]int{}, k222, 33, 0, 32},
		{"2-D", 2, [3]int{1, 4, 3}, [3]int{}, k122, 32, 0, 16},
	}
	for _, c := range widths {
		specs = append(specs, convSpec{fmt.Sprintf("%d channels", c), 1, [3]int{1, 1, 3}, [3]int{}, k222, c, 0, 35 - c})
	}
	var cs []testCase
	for i, s := range specs {
		r := newSource(1000 + i)
		for _, f := range []struct {
			suffix string
			d      data
			exact  bool
		}{{"", r.eighths, true}, {" normal", r.normal, false}} {
			x := activation("x", f.d, s.n, s.size[0], s.size[1], s.size[2], s.c1)
			dy := activation("dy", f.d, s.n, s.size[0]*s.stride[0], s.size[1]*s.stride[1], s.size[2]*s.stride[2], s.co)
			w := float("w", graph.Weights, f.d, s.stride[0], s.stride[1], s.stride[2], s.c1, s.co)
			b := float("b", graph.Weights, f.d, s.co)
			name := s.name + f.suffix
			cs = append(cs,
				testCase{name: name, op: graph.UpConv3D{}, in: []operand{x, w, b}, exact: f.exact},
				testCase{name: name, op: graph.UpConv3DGradInput{}, in: []operand{dy, w}, exact: f.exact},
				testCase{name: name, op: graph.UpConv3DGradWeight{Stride: s.stride}, in: []operand{dy, x}, exact: f.exact})
		}
	}
	return cs
}

func elementCases() []testCase {
	var cs []testCase
	for i, shape := range [][]int{{1, 1, 1, 1, 1}, {2, 1, 4, 6, 3}, {1, 2, 4, 6, 17}, {3, 4, 2, 2, 32}} {
		r := newSource(2000 + i)
		name := graph.Shape(shape).String()
		a, b := activation("a", r.eighths, shape...), activation("b", r.eighths, shape...)
		n1, n2 := activation("a", r.normal, shape...), activation("b", r.normal, shape...)
		edge := activation("y", r.eighths, shape...)
		edge.data[0] = 0 // belongs to the side of y ≥ 0
		for j := range edge.data {
			edge.data[j] /= 4
		}
		cs = append(cs,
			testCase{name: name, op: graph.Add{}, in: []operand{a, b}, exact: true},
			testCase{name: name + " normal", op: graph.Add{}, in: []operand{n1, n2}},
			testCase{name: name, op: graph.AddAct{Slope: 0.25}, in: []operand{a, b}, exact: true},
			testCase{name: name + " normal", op: graph.AddAct{Slope: 0.01}, in: []operand{n1, n2}},
			testCase{name: name + " slope 0", op: graph.AddAct{}, in: []operand{a, b}, exact: true},
			testCase{name: name, op: graph.ActGrad{Slope: 0.25}, in: []operand{a, edge}, exact: true},
			testCase{name: name + " normal", op: graph.ActGrad{Slope: 0.01}, in: []operand{n1, edge}})
		for _, s := range [][3]int{k222, k122, {1, 1, 3}, k111} {
			if shape[1]%s[0] != 0 || shape[2]%s[1] != 0 || shape[3]%s[2] != 0 {
				continue
			}
			isExact := s[2] != 3 // a third is rounded
			large := []int{shape[0], shape[1] * s[0], shape[2] * s[1], shape[3] * s[2], shape[4]}
			n := fmt.Sprintf("%s stride %v", name, graph.Shape(s[:]))
			cs = append(cs,
				testCase{name: n, op: graph.AvgPool{Stride: s}, in: []operand{activation("x", r.eighths, large...)}, exact: isExact},
				testCase{name: n, op: graph.AvgPoolGrad{Stride: s}, in: []operand{a}, exact: isExact})
		}
	}
	return cs
}

func enlargeCases() []testCase {
	var cs []testCase
	for i, s := range []struct {
		shape  []int
		stride [3]int
	}{
		{[]int{1, 2, 3, 4, 3}, k222}, {[]int{2, 1, 4, 3, 8}, k122}, {[]int{1, 1, 1, 1, 5}, k222}, {[]int{2, 2, 1, 5, 2}, [3]int{3, 2, 1}}, {[]int{1, 3, 2, 2, 16}, k111},
	} {
		r := newSource(3500 + i)
		name := fmt.Sprintf("%v stride %v", graph.Shape(s.shape), graph.Shape(s.stride[:]))
		large := slices.Clone(s.shape)
		for a := range 3 {
			large[a+1] *= s.stride[a]
		}
		cs = append(cs,
			testCase{name: name, op: graph.Enlarge{Stride: s.stride}, in: []operand{activation("x", r.normal, s.shape...)}},
			testCase{name: name, op: graph.EnlargeGrad{Stride: s.stride}, in: []operand{activation("dy", r.normal, large...)}})
	}
	return cs
}

func normCases() []testCase {
	var cs []testCase
	specs := []struct {
		name      string
		shape     []int
		slope     float32
		mean, dev float64
		pool      graph.Pool
	}{
		{"2-D", []int{2, 1, 7, 9, 8}, 0.01, 0, 1, graph.Pool{}},
		{"3-D", []int{1, 3, 5, 7, 17}, 0.01, 0.5, 2, graph.Pool{}},
		{"two samples of 33 channels", []int{2, 4, 4, 4, 33}, 0.01, -1, 0.5, graph.Pool{}},
		{"32 channels", []int{1, 4, 5, 6, 32}, 0.01, 0, 1, graph.Pool{}},
		{"no activation", []int{1, 2, 3, 4, 5}, 1, 0, 1, graph.Pool{}},
		{"slope 0", []int{3, 2, 3, 4, 3}, 0, 0, 1, graph.Pool{}},
		{"mean above deviation", []int{1, 4, 6, 8, 16}, 0.01, 16, 1, graph.Pool{}},
		{"small values", []int{1, 2, 4, 4, 2}, 0.01, 0, 1e-3, graph.Pool{}},
		{"one voxel", []int{2, 1, 1, 1, 5}, 0.01, 0, 1, graph.Pool{}},
		{"two voxels", []int{1, 1, 1, 2, 1}, 0.01, 0, 1, graph.Pool{}},
		{"many voxels", []int{1, 8, 16, 33, 2}, 0.01, 1, 1, graph.Pool{}},
		{"a batch", []int{3, 2, 5, 7, 8}, 0.01, 0.5, 2, graph.Pool{Batch: true}},
		{"a batch of 17 channels", []int{2, 3, 4, 5, 17}, 0.01, -4, 1, graph.Pool{Batch: true}},
		{"a batch of single voxels", []int{5, 1, 1, 1, 4}, 1, 0, 1, graph.Pool{Batch: true}},
		{"a batch of small values", []int{2, 1, 4, 4, 3}, 0.01, 0, 1e-3, graph.Pool{Batch: true}},
		{"groups", []int{2, 3, 4, 5, 32}, 0.01, 0.5, 2, graph.Pool{Groups: 4}},
		{"one group", []int{2, 1, 4, 5, 6}, 0, 8, 1, graph.Pool{Groups: 1}},
		{"groups of 5 channels", []int{1, 2, 4, 5, 15}, 0.01, 0, 1, graph.Pool{Groups: 3}},
		{"groups of one channel", []int{2, 2, 4, 5, 3}, 0.01, 0, 1, graph.Pool{Groups: 3}},
		{"groups of a batch of many voxels", []int{2, 8, 16, 33, 4}, 0.01, 1, 1, graph.Pool{Groups: 2, Batch: true}},
	}
	for i, s := range specs {
		r := newSource(3000 + i)
		c := s.shape[4]
		xs := func(n int) []float64 {
			v := r.normal(n)
			for i := range v {
				v[i] = round(graph.BF16, s.mean+s.dev*v[i]) // the same in every storage
			}
			return v
		}
		x := activation("x", xs, s.shape...)
		cs = append(cs, normCasesOf(s.name, s.slope, s.pool, x,
			float("gamma", graph.Weights, r.normal, c), float("beta", graph.Weights, r.normal, c), activation("dy", r.normal, s.shape...))...)
	}
	r := newSource(3100)
	shape := []int{1, 2, 3, 4, 3}
	x, dy := activation("x", r.normal, shape...), activation("dy", r.normal, shape...)
	cs = append(cs, normCasesOf("gamma and beta 0", 0.01, graph.Pool{}, x, float("gamma", graph.Weights, constant(0), 3), float("beta", graph.Weights, constant(0), 3), dy)...)
	cs = append(cs, normCasesOf("a constant", 0.01, graph.Pool{}, activation("x", constant(1.25), shape...),
		float("gamma", graph.Weights, constant(1), 3), float("beta", graph.Weights, constant(0.5), 3), dy)...)
	return cs
}

// normCasesOf are NormAct, NormApply and NormActGrad on one x.
func normCasesOf(name string, slope float32, pool graph.Pool, x, gamma, beta, dy operand) []testCase {
	const eps = 1e-5
	in := make([]array, 3)
	for i, o := range []operand{x, gamma, beta} {
		in[i] = o.array(graph.F32)
	}
	y, st := newArray(in[0].typ), newArray(graph.Type{DType: graph.F32, Shape: graph.Shape{x.shape[0], x.shape[4], 2}})
	op := graph.NormAct{Eps: eps, Slope: slope, Pool: pool}
	normAct(op, in[0], in[1], in[2], y, st)
	stats := float("stats", graph.IO, fixed(plain(st.v)), st.typ.Shape...)
	c := x.shape[4]
	running := func(name string, x float64) operand { return float(name, graph.Weights, constant(x), c) }
	list := []testCase{
		{name: name, op: op, in: []operand{x, gamma, beta}},
		{name: name, op: graph.NormApply{Slope: slope}, in: []operand{x, gamma, beta, stats}},
		{name: name, op: graph.NormActGrad{Slope: slope, Pool: pool}, in: []operand{dy, x, gamma, beta, stats}},
	}
	if pool.Batch {
		count := x.shape.Elems() / c
		list = append(list,
			testCase{name: name, op: graph.Estimate{Eps: eps, Count: count}, in: []operand{stats}},
			testCase{name: name, op: graph.Track{Momentum: 0.1}, in: []operand{
				float("m", graph.IO, newSource(411).normal, c), float("v", graph.IO, constant(1.5), c), running("mean", 0.5), running("variance", 2),
			}},
			testCase{name: name, op: graph.Running{Eps: eps, N: x.shape[0]}, in: []operand{running("mean", 0.5), running("variance", 2)}})
		if pool.Groups == 0 {
			list = append(list, sharedCasesOf(name, eps, slope, x, gamma, beta, dy, stats)...)
		}
	}
	return list
}

// array is the operand as a device holds it with that storage.
func (o operand) array(storage graph.DType) array {
	if o.shape == nil {
		return array{}
	}
	d := o.dtype
	if d == graph.T {
		d = storage
	}
	a := newArray(graph.Type{DType: d, Shape: o.shape})
	for i, v := range o.data {
		a.v[i] = exact(round(d, v))
	}
	return a
}
