package backendtest

import (
	"fmt"
	"math"
	"slices"

	"github.com/gounet/gounet/core/graph"
)

// segSpec is a segmentation with K classes.
type segSpec struct {
	name  string
	n     int
	size  [3]int
	k     int
	op    graph.SegSums
	scale float64 // of the logits
	extra []int   // labels beside the classes
}

var segSpecs = []segSpec{
	{"softmax", 2, [3]int{3, 4, 5}, 3, graph.SegSums{Stride: k111, Ignore: -1}, 2, nil},
	{"softmax 2-D", 1, [3]int{1, 9, 7}, 2, graph.SegSums{Stride: k111, Ignore: -1}, 1, nil},
	{"softmax labels beyond the classes", 1, [3]int{2, 4, 5}, 4, graph.SegSums{Stride: k111, Ignore: -1}, 2, []int{4, 77, 255}},
	{"softmax ignore", 2, [3]int{2, 4, 5}, 3, graph.SegSums{Stride: k111, Ignore: 3}, 2, []int{3}},
	{"softmax ignores all", 1, [3]int{2, 2, 3}, 1, graph.SegSums{Stride: k111, Ignore: 0}, 2, nil},
	{"softmax stride 2", 1, [3]int{2, 3, 3}, 3, graph.SegSums{Stride: k222, Ignore: -1}, 2, nil},
	{"softmax stride 1×4×3 ignore", 2, [3]int{3, 2, 2}, 5, graph.SegSums{Stride: [3]int{1, 4, 3}, Ignore: 255}, 2, []int{255}},
	{"softmax confident", 1, [3]int{2, 4, 4}, 3, graph.SegSums{Stride: k111, Ignore: -1}, 40, nil},
	{"softmax one class", 1, [3]int{1, 2, 3}, 1, graph.SegSums{Stride: k111, Ignore: -1}, 2, nil},
	{"softmax 17 classes", 1, [3]int{2, 3, 5}, 17, graph.SegSums{Stride: k111, Ignore: -1}, 2, nil},
	{"softmax 33 classes", 1, [3]int{1, 3, 5}, 33, graph.SegSums{Stride: k111, Ignore: -1}, 2, nil},
	{"softmax many voxels", 1, [3]int{8, 16, 17}, 2, graph.SegSums{Stride: k111, Ignore: -1}, 1, nil},
	{"softmax regions", 2, [3]int{2, 4, 5}, 3, graph.SegSums{Stride: k111, Ignore: 3, Regions: [][]uint8{{0, 4}, {1, 2}, {2}}}, 2, []int{3, 4}},
	{"softmax focal", 2, [3]int{2, 3, 4}, 3, graph.SegSums{Stride: k111, Ignore: -1, Gamma: 2}, 2, nil},
	{"softmax smoothed", 2, [3]int{2, 3, 4}, 3, graph.SegSums{Stride: k111, Ignore: -1, Smoothing: 0.1}, 2, nil},
	{"softmax smoothed ignore stride 2", 1, [3]int{2, 3, 5}, 5, graph.SegSums{Stride: k222, Ignore: 4, Smoothing: 0.3}, 2, []int{9}},
	{"sigmoid", 2, [3]int{2, 3, 4}, 3, graph.SegSums{Stride: k111, Act: graph.Sigmoid, Ignore: -1}, 2, nil},
	{"sigmoid confident", 1, [3]int{2, 3, 4}, 2, graph.SegSums{Stride: k111, Act: graph.Sigmoid, Ignore: -1}, 40, nil},
	{"sigmoid regions", 1, [3]int{2, 3, 5}, 3, graph.SegSums{Stride: k111, Act: graph.Sigmoid, Ignore: -1, Regions: [][]uint8{{1, 2, 3}, {2, 3}, {3}}}, 2, []int{3, 255}},
	{"sigmoid regions ignore stride 2", 2, [3]int{2, 3, 3}, 2, graph.SegSums{Stride: k122, Act: graph.Sigmoid, Ignore: 4, Regions: [][]uint8{{1, 2}, {2}}}, 2, []int{4}},
	{"sigmoid focal", 1, [3]int{2, 3, 4}, 3, graph.SegSums{Stride: k111, Act: graph.Sigmoid, Ignore: -1, Gamma: 2}, 2, nil},
	{"hard", 2, [3]int{2, 3, 5}, 4, graph.SegSums{Stride: k111, Act: graph.Hard, Ignore: 3}, 1, nil},
	{"hard one class", 1, [3]int{2, 3, 5}, 1, graph.SegSums{Stride: k111, Act: graph.Hard, Ignore: -1}, 1, nil},
	{"hard regions", 2, [3]int{2, 3, 5}, 3, graph.SegSums{Stride: k111, Act: graph.Hard, Ignore: 4, Regions: [][]uint8{{1, 2, 3}, {2, 3}, {3}}}, 1, []int{3, 4}},
	{"hard stride 2", 1, [3]int{2, 3, 5}, 3, graph.SegSums{Stride: k222, Act: graph.Hard, Ignore: -1}, 1, []int{9}},
}

func segCases() []testCase {
	var cs []testCase
	for i, s := range segSpecs {
		r := newSource(4000 + i)
		draw := func(n int) []float64 {
			v := r.eighths(n) // with ties, for Hard
			if s.op.Act != graph.Hard {
				v = r.normal(n)
			}
			for j := range v {
				v[j] *= s.scale
			}
			return v
		}
		z := activation("logits", draw, s.n, s.size[0], s.size[1], s.size[2], s.k)
		st := s.op.Stride
		l := bytesOf("labels", func(n int) []float64 { return r.labels(n, s.k, s.extra...) },
			s.n, s.size[0]*st[0], s.size[1]*st[1], s.size[2]*st[2])
		cs = append(cs, testCase{name: s.name, op: s.op, in: []operand{z, l}, exact: s.op.Act == graph.Hard})
		if s.op.Act != graph.Hard {
			d := float("dsums", graph.IO, r.normal, s.n, s.k, graph.SumsLen)
			for j := range d.data { // as SegLoss hands it out
				if c := j % graph.SumsLen; c == graph.SumT || c == graph.SumValid {
					d.data[j] = 0
				}
			}
			cs = append(cs, testCase{name: s.name, op: graph.SegGrad{SegSums: s.op}, in: []operand{z, l, d}})
		}
	}
	return cs
}

// sumsOf are plausible sums of V voxels.
func (s source) sums(n, k int, voxels float64) []float64 {
	v := make([]float64, n*k*graph.SumsLen)
	for i := range n * k {
		x := v[i*graph.SumsLen:]
		t := math.Floor(voxels * s.Float64() / float64(k))
		p := voxels * s.Float64() / float64(k)
		x[graph.SumPT], x[graph.SumP], x[graph.SumT] = min(t, p)*s.Float64(), p, t
		x[graph.SumCE], x[graph.SumValid] = voxels*s.Float64(), voxels
	}
	return v
}

func lossCases() []testCase {
	base := graph.SegLoss{Weight: 1, CE: 1, Dice: 1, Smooth: 1e-5, Mean: 1, First: 1}
	change := func(f func(*graph.SegLoss)) graph.SegLoss {
		op := base
		f(&op)
		return op
	}
	specs := []struct {
		name   string
		n, k   int
		op     graph.SegLoss
		before bool
		voxels float64
	}{
		{"one sample", 1, 3, base, false, 100},
		{"two samples after another loss", 2, 3, base, true, 1000},
		{"batch", 3, 4, change(func(o *graph.SegLoss) { o.Batch = true }), true, 500},
		{"with background", 2, 2, change(func(o *graph.SegLoss) { o.First = 0; o.Mean = 2 }), false, 64},
		{"weights", 2, 5, change(func(o *graph.SegLoss) { o.Weight, o.CE, o.Dice, o.Smooth = 0.25, 0.5, 2, 1 }), true, 300},
		{"no dice", 1, 2, change(func(o *graph.SegLoss) { o.Dice = 0 }), true, 40},
		{"no cross entropy", 1, 2, change(func(o *graph.SegLoss) { o.CE = 0 }), false, 40},
		{"classes weigh", 2, 3, change(func(o *graph.SegLoss) { o.Classes = []float32{0.25, 2, 0} }), true, 300},
		{"classes weigh in a batch", 3, 2, change(func(o *graph.SegLoss) { o.Classes, o.Batch = []float32{1, 3}, true }), false, 300},
		{"no voxels of weight", 2, 3, change(func(o *graph.SegLoss) { o.Classes = []float32{1, 1, 1} }), false, 0},
		{"no voxels", 2, 3, base, true, 0},
		{"no voxels and nothing to smooth", 2, 3, change(func(o *graph.SegLoss) { o.Smooth = 0; o.Batch = true }), false, 0},
		{"17 classes of 33 samples", 33, 17, base, false, 1e5},
	}
	var cs []testCase
	for i, s := range specs {
		r := newSource(5000 + i)
		in := []operand{
			float("sums", graph.IO, fixed(r.sums(s.n, s.k, s.voxels)), s.n, s.k, graph.SumsLen),
			{},
			ctlOf(20, map[int]float64{graph.CtlLossScale: float64(int(1) << (i % 4 * 5))}),
		}
		if s.before {
			in[1] = float("before", graph.IO, r.normal, 1)
		}
		cs = append(cs, testCase{name: s.name, op: s.op, in: in})
	}
	return cs
}

func stepCases() []testCase {
	var cs []testCase
	for i, world := range []bool{false, true} {
		r := newSource(6000 + i)
		cs = append(cs, testCase{
			name: fmt.Sprintf("one device mean %v", world), op: graph.AllReduce{Mean: world}, exact: true,
			in: []operand{float("a", graph.IO, r.normal, 17), float("b", graph.IO, r.normal, 2, 3)},
		})
	}
	cs = append(cs, gradNormCases()...)
	for _, rule := range []graph.Step{
		{Rule: graph.SGD, Momentum: 0.99, Decay: 3e-5, Nesterov: true},
		{Rule: graph.SGD, Momentum: 0.9},
		{Rule: graph.SGD, Decay: 0.1},
		{Rule: graph.Adam, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, Decay: 0.01},
		{Rule: graph.AdamW, Beta1: 0.9, Beta2: 0.98, Epsilon: 1e-6, Decay: 0.05},
		{Rule: graph.Adan, Beta1: 0.98, Beta2: 0.92, Beta3: 0.99, Epsilon: 1e-8, Decay: 0.02},
	} {
		for _, half := range []bool{false, true} {
			for i, steps := range []int{0, 1, 2, 1000} {
				cs = append(cs, stepCase(rule, steps, half, newSource(6100+i)))
			}
		}
	}
	return cs
}

func gradNormCases() []testCase {
	specs := []struct {
		name          string
		growth        int
		clip, scale   float64
		good, steps   float64
		poison, share float64 // a gradient that is not finite; size of the others
	}{
		{"no clipping", 0, 0, 1, 3, 10, 0, 1},
		{"clipped", 0, 12, 1, 3, 10, 0, 10},
		{"not clipped", 0, 12, 1024, 3, 10, 0, 100},
		{"clipped with a scale", 2000, 0.5, 65536, 1, 0, 0, 4096},
		{"grows", 5, 12, 8, 4, 99, 0, 1},
		{"does not grow yet", 5, 12, 8, 3, 99, 0, 1},
		{"infinite", 5, 12, 8, 3, 99, math.Inf(1), 1},
		{"minus infinite without growth", 0, 12, 8, 3, 99, math.Inf(-1), 1},
		{"not a number", 2000, 0, 32768, 1999, 7, math.NaN(), 1},
		{"zero", 0, 12, 1, 3, 10, 0, 0},
	}
	var cs []testCase
	for i, s := range specs {
		r := newSource(6200 + i)
		in := []operand{ctlOf(24, map[int]float64{
			graph.CtlClip: s.clip, graph.CtlLossScale: s.scale, graph.CtlGood: s.good, graph.CtlSteps: s.steps, graph.CtlSkipped: 2,
		})}
		for j, shape := range [][]int{{3, 3, 3, 2, 5}, {5}, {1}, {700}, {33}} {
			g := float(fmt.Sprintf("grad%d", j), graph.Grads, r.normal, shape...)
			for k := range g.data {
				g.data[k] *= s.share
			}
			if s.poison != 0 && j == 3 {
				g.data[699] = s.poison
			}
			in = append(in, g)
		}
		cs = append(cs, testCase{name: s.name, op: graph.GradNorm{Growth: s.growth}, in: in})
	}
	return cs
}

// stepCase is a step after others; steps 0 is one that is skipped.
func stepCase(op graph.Step, steps int, half bool, r source) testCase {
	shapes := [][]int{{1, 3, 3, 2, 5}, {5}, {300}, {1}}
	op.N = len(shapes)
	finite, factor := 1.0, 0.25
	if steps == 0 {
		finite, factor = 0, math.NaN()
	}
	positive := func(n int) []float64 { // second moments
		v := r.normal(n)
		for i := range v {
			v[i] *= v[i]
		}
		return v
	}
	in := []operand{ctlOf(16, map[int]float64{
		graph.CtlRate: 0.01, graph.CtlFinite: finite, graph.CtlFactor: factor, graph.CtlSteps: float64(steps),
	})}
	add := func(name string, region graph.Region, d data, slot int) {
		for i, s := range shapes {
			o := float(fmt.Sprintf("%s%d", name, i), region, d, s...)
			if region != graph.Weights {
				o.of, o.slot = 2+i, slot
			}
			in = append(in, o)
		}
	}
	add("w", graph.Weights, r.normal, 0)
	add("g", graph.Grads, r.normal, 0)
	if steps == 0 {
		in[len(in)-1].data[0] = math.Inf(1)
	}
	first := data(r.normal)
	if steps == 1 {
		first, positive = constant(0), constant(0)
	}
	add("m", graph.State, first, 0)
	switch op.Rule.Slots() {
	case 2:
		add("v", graph.State, positive, 1)
	case 4:
		add("v", graph.State, first, 1)
		add("n", graph.State, positive, 2)
		add("p", graph.State, first, 3)
	}
	name := fmt.Sprintf("%v nesterov %v decay %v step %d", op.Rule, op.Nesterov, op.Decay, steps)
	if half {
		name += " with copies"
		for _, i := range []int{0, 2} {
			in = append(in, operand{name: fmt.Sprintf("half%d", i), region: graph.Half, dtype: graph.T, shape: shapes[i], of: 2 + i})
		}
	}
	return testCase{name: name, op: op, in: slices.Clone(in), half: half, exact: steps == 0}
}

// hardestCases are of drawn logits, and of some that many voxels have: the order of
// equals is exact.
func hardestCases() []testCase {
	specs := []struct {
		name string
		size [5]int // N D H W K
		op   graph.Hardest
	}{
		{"a tenth", [5]int{2, 3, 4, 5, 3}, graph.Hardest{Stride: k111, Ignore: -1, Count: 12}},
		{"one", [5]int{1, 1, 9, 7, 2}, graph.Hardest{Stride: k111, Ignore: -1, Count: 1}},
		{"stride 2 ignore", [5]int{1, 2, 3, 5, 4}, graph.Hardest{Stride: k222, Ignore: 4, Count: 9}},
		{"more than are labelled", [5]int{1, 1, 4, 5, 3}, graph.Hardest{Stride: k111, Ignore: 1, Count: 19}},
		{"smoothed", [5]int{2, 2, 4, 5, 3}, graph.Hardest{Stride: k111, Ignore: 2, Count: 8, Smoothing: 0.3}},
		{"all", [5]int{2, 1, 3, 3, 2}, graph.Hardest{Stride: k111, Ignore: -1, Count: 18}},
		{"many voxels", [5]int{1, 8, 16, 17, 2}, graph.Hardest{Stride: k111, Ignore: -1, Count: 217}},
	}
	var cs []testCase
	for i, s := range specs {
		for _, equals := range []bool{false, true} {
			r := newSource(4500 + i)
			draw, name, k := data(r.normal), s.name, s.size[4]
			if equals { // of two logits the sum of exponentials has no order
				name, k = name+" of equals", 2
				draw = func(n int) []float64 {
					v := make([]float64, n)
					for j := range v {
						v[j] = float64(r.IntN(3))
					}
					return v
				}
			}
			z := activation("logits", draw, s.size[0], s.size[1], s.size[2], s.size[3], k)
			st := s.op.Stride
			l := bytesOf("labels", func(n int) []float64 { return r.labels(n, k, s.size[4], 255) },
				s.size[0], s.size[1]*st[0], s.size[2]*st[1], s.size[3]*st[2])
			cs = append(cs, testCase{name: name, op: s.op, in: []operand{z, l}, exact: equals})
		}
	}
	return cs
}
