package backendtest

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// adjoint says what a backward op is the derivative of. forward takes the
// variables and returns Σ cotangent·result by the definition of the forward op;
// variables and grads belong together.
type adjoint struct {
	variables, grads [][]float64
	forward          func(v [][]float64) (loss, mag float64)
	skip             func(variable, i int) bool
	h                float64 // step; 0: 2^-16
}

// run evaluates op without rounding.
func run(op graph.Op, in []array) []array {
	types := make([]graph.Type, len(in))
	for i, a := range in {
		types[i] = a.typ
	}
	out, err := op.Types(types)
	if err != nil {
		panic(err)
	}
	r, _ := evaluate(call{op: op, in: in, out: out})
	return r
}

// weighted is Σ d·y and Σ |d·y|.
func weighted(d, y array) (s, mag float64) {
	for i := range d.v {
		s += d.v[i].v * y.v[i].v
		mag += math.Abs(d.v[i].v * y.v[i].v)
	}
	return s, mag
}

func with(a array, v []float64) array {
	r := newArray(a.typ)
	for i, x := range v {
		r.v[i] = exact(x)
	}
	return r
}

func random(s source, shape graph.Shape) array {
	return with(newArray(graph.Type{Shape: shape}), s.eighths(shape.Elems()))
}

// adjointOf maps a case of a backward op to its forward op; ok is false for
// other ops.
func adjointOf(c testCase) (a adjoint, ok bool) {
	s := newSource(1)
	in := make([]array, len(c.in))
	for i, o := range c.in {
		in[i] = o.array(graph.F32)
	}
	grads := func(out []array) [][]float64 {
		var g [][]float64
		for _, o := range out {
			g = append(g, plain(o.v))
		}
		return g
	}
	zeros := func(n int) array { return newArray(graph.Type{Shape: graph.Shape{n}}) }
	switch op := c.op.(type) {
	case graph.Conv3DGradInput:
		out := run(op, in)
		dy, w := in[0], in[1]
		var xs []array
		for _, shape := range op.X {
			xs = append(xs, random(s, shape))
			a.variables = append(a.variables, plain(xs[len(xs)-1].v))
		}
		a.grads = grads(out)
		a.forward = func(v [][]float64) (float64, float64) {
			args := []array{with(xs[0], v[0]), w, zeros(w.typ.Shape[4])}
			if len(xs) > 1 {
				args = append(args, with(xs[1], v[1]))
			}
			y := newArray(dy.typ)
			evaluateConv(call{op: graph.Conv3D{Stride: op.Stride}, in: args}, []array{y})
			return weighted(dy, y)
		}
	case graph.Conv3DGradWeight:
		out := run(op, in)
		dy := in[0]
		w, b := random(s, out[0].typ.Shape), random(s, out[1].typ.Shape)
		a.variables, a.grads = [][]float64{plain(w.v), plain(b.v)}, grads(out)
		a.forward = func(v [][]float64) (float64, float64) {
			y := newArray(dy.typ)
			args := append([]array{in[1], with(w, v[0]), with(b, v[1])}, in[2:]...)
			evaluateConv(call{op: graph.Conv3D{Stride: op.Stride}, in: args}, []array{y})
			return weighted(dy, y)
		}
	case graph.UpConv3DGradInput:
		out := run(op, in)
		x := random(s, out[0].typ.Shape)
		a.variables, a.grads = [][]float64{plain(x.v)}, grads(out)
		a.forward = func(v [][]float64) (float64, float64) {
			return weighted(in[0], run(graph.UpConv3D{}, []array{with(x, v[0]), in[1], zeros32(in[1].typ.Shape[4])})[0])
		}
	case graph.UpConv3DGradWeight:
		out := run(op, in)
		w, b := random(s, out[0].typ.Shape), random(s, out[1].typ.Shape)
		a.variables, a.grads = [][]float64{plain(w.v), plain(b.v)}, grads(out)
		a.forward = func(v [][]float64) (float64, float64) {
			return weighted(in[0], run(graph.UpConv3D{}, []array{in[1], with(w, v[0]), with(b, v[1])})[0])
		}
	case graph.ActGrad:
		pre := make([]float64, len(in[1].v))
		for i, y := range in[1].v { // what y is the leaky ReLU of
			pre[i] = y.v
			if y.v < 0 {
				pre[i] /= float64(op.Slope)
			}
		}
		a.variables, a.grads = [][]float64{pre}, grads(run(op, in))
		a.forward = func(v [][]float64) (float64, float64) {
			return weighted(in[0], run(graph.AddAct(op), []array{with(in[1], v[0]), newArray(in[1].typ)})[0])
		}
		a.skip = func(_, i int) bool { return pre[i] == 0 } // a kink
	case graph.AvgPoolGrad:
		out := run(op, in)
		x := random(s, out[0].typ.Shape)
		a.variables, a.grads = [][]float64{plain(x.v)}, grads(out)
		a.forward = func(v [][]float64) (float64, float64) {
			return weighted(in[0], run(graph.AvgPool(op), []array{with(x, v[0])})[0])
		}
	case graph.EnlargeGrad:
		out := run(op, in)
		x := random(s, out[0].typ.Shape)
		a.variables, a.grads = [][]float64{plain(x.v)}, grads(out)
		a.forward = func(v [][]float64) (float64, float64) {
			return weighted(in[0], run(graph.Enlarge(op), []array{with(x, v[0])})[0])
		}
	case graph.NormActGrad:
		forward := graph.NormAct{Eps: 1e-5, Slope: op.Slope, Pool: op.Pool}
		args := slices.Clone(in)
		args[4] = run(forward, in[1:4])[1] // not rounded
		a.variables = [][]float64{plain(in[1].v), plain(in[2].v), plain(in[3].v)}
		a.grads = grads(run(op, args))
		a.forward = func(v [][]float64) (float64, float64) {
			return weighted(in[0], run(forward, []array{with(in[1], v[0]), with(in[2], v[1]), with(in[3], v[2])})[0])
		}
		flat := in[2].v[0].v == 0 && in[3].v[0].v == 0
		a.skip = func(int, int) bool { return flat } // all of it is a kink
	case graph.SegGrad:
		a.variables, a.grads = [][]float64{plain(in[0].v)}, grads(run(op, in))
		a.forward = func(v [][]float64) (float64, float64) {
			return weighted(in[2], run(op.SegSums, []array{with(in[0], v[0]), in[1]})[0])
		}
	case graph.SegLoss:
		out := run(op, in)
		a.variables, a.grads = [][]float64{plain(in[0].v)}, [][]float64{plain(out[1].v)}
		scale := in[2].v[graph.CtlLossScale].v
		a.forward = func(v [][]float64) (float64, float64) {
			l := run(op, []array{with(in[0], v[0]), in[1], in[2]})[0].v[0]
			return l.v * scale, scale * (10 + l.e)
		}
		a.h = 0x1p-5                   // sums are tens and more
		a.skip = func(_, i int) bool { // data, and denominators at their bound
			c := i % graph.SumsLen
			return c == graph.SumT || c == graph.SumValid || in[0].v[graph.SumValid].v == 0
		}
	default:
		return a, false
	}
	return a, true
}

func zeros32(n int) array { return newArray(graph.Type{DType: graph.F32, Shape: graph.Shape{n}}) }

// slopeAt is the derivative of a.forward in element i of a variable: a central
// difference of sixth order.
func (a adjoint) slopeAt(variable, i int, h float64) (slope, mag float64) {
	at := func(k float64) float64 {
		v := slices.Clone(a.variables)
		v[variable] = slices.Clone(v[variable])
		v[variable][i] += k * h
		l, m := a.forward(v)
		mag = max(mag, m)
		return l
	}
	return (45*(at(1)-at(-1)) - 9*(at(2)-at(-2)) + at(3) - at(-3)) / (60 * h), mag
}

// Every backward op of the oracle is the derivative of its forward op: its
// cases agree with central differences of the forward definition, to what the
// difference itself is good for.
func TestBackwardOpsAreMeasuredSlopes(t *testing.T) {
	t.Parallel()
	measured := map[string]int{}
	for _, c := range cases() {
		a, ok := adjointOf(c)
		if !ok || c.exact && a.work() > 1e3 || a.work() > 6e3 {
			continue
		}
		for v, grads := range a.grads {
			for i := range 7 {
				i = i * (len(grads) - 1) / 6
				if a.skip != nil && a.skip(v, i) {
					continue
				}
				h := cmp.Or(a.h, 0x1p-16)
				s, mag := a.slopeAt(v, i, h)
				s2, _ := a.slopeAt(v, i, 2*h)
				allowed := math.Abs(s-s2) + 0x1p-44*mag/h
				assert.InDelta(t, s, grads[i], allowed, "%s: variable %d, element %d", c.title(), v, i)
				if allowed < 1e-6*(1+math.Abs(s)) {
					measured[graph.OpName(c.op)]++
				}
			}
		}
	}
	for _, name := range []string{
		"Conv3DGradInput", "Conv3DGradWeight", "UpConv3DGradInput", "UpConv3DGradWeight",
		"ActGrad", "AvgPoolGrad", "EnlargeGrad", "NormActGrad", "SegGrad", "SegLoss",
	} {
		require.Greater(t, measured[name], 10, "%s was measured well too rarely", name)
	}
}

// work is the number of elements that a measurement touches.
func (a adjoint) work() float64 {
	n := 0
	for _, v := range a.variables {
		n += len(v)
	}
	return float64(n)
}
