package graph

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// net is a small network with a loss, to differentiate.
type net struct {
	*Builder
	x, labels, ctl Value
	params         []Value
}

func (n *net) conv(name string, co int, xs ...Value) Value {
	c := 0
	for _, x := range xs {
		c += n.Type(x).Shape[4]
	}
	w, b := n.Param(name+".w", 1, 1, 1, c, co), n.Param(name+".b", co)
	n.params = append(n.params, w, b)
	return n.Apply(name, Conv3D{k1}, append([]Value{xs[0], w, b}, xs[1:]...)...)[0]
}

func (n *net) loss(z Value) Value {
	sums := n.Apply("sums", SegSums{Stride: k1, Ignore: -1}, z, n.labels)[0]
	return n.Apply("loss", SegLoss{Weight: 1, CE: 1, Mean: 1}, sums, 0, n.ctl)[0]
}

func build(t *testing.T, f func(n *net) []Value) *Graph {
	t.Helper()
	g, err := Build(func(b *Builder) []Value {
		return f(&net{
			Builder: b,
			x:       b.Declare("x", IO, T, 1, 2, 2, 2, 1),
			labels:  b.Declare("labels", IO, U8, 1, 2, 2, 2),
			ctl:     b.Declare("ctl", IO, F32, CtlRows),
		})
	})
	require.NoError(t, err)
	return g
}

// count counts the nodes of the backward pass of one op.
func count(g *Graph, op string) (n int) {
	for _, node := range g.Nodes[g.Split:] {
		if OpName(node.Op) == op {
			n++
		}
	}
	return n
}

func TestGradientsLieInGradsAndBelongToTheirParameters(t *testing.T) {
	var params, grads []Value
	g := build(t, func(n *net) []Value {
		l := n.loss(n.conv("head", 2, n.conv("first", 3, n.x)))
		params, grads = n.params, n.Backward(l, n.params)
		return []Value{l}
	})
	require.Len(t, grads, 4)
	for i, v := range grads {
		info := g.Info(v)
		assert.Equal(t, Grads, info.Region)
		assert.Equal(t, params[i], info.Of)
		assert.Equal(t, "grad."+g.Info(params[i]).Name, info.Name)
		assert.Equal(t, g.Type(params[i]), info.Type)
	}
	assert.Equal(t, 1, count(g, "Conv3DGradInput"), "the image needs no gradient")
	assert.Equal(t, 2, count(g, "Conv3DGradWeight"))
}

func TestUnusedParametersHaveNoGradient(t *testing.T) {
	build(t, func(n *net) []Value {
		used := n.conv("used", 2, n.x)
		n.conv("beside", 2, used) // nobody reads it
		l := n.loss(used)
		grads := n.Backward(l, n.params)
		assert.NotZero(t, grads[0])
		assert.NotZero(t, grads[1])
		assert.Zero(t, grads[2])
		assert.Zero(t, grads[3])
		return []Value{l}
	})
}

// A value that k nodes read gets k cotangents, which k − 1 nodes add.
func TestFanOutAddsCotangents(t *testing.T) {
	for k := 1; k <= 4; k++ {
		g := build(t, func(n *net) []Value {
			shared := n.conv("shared", 2, n.x)
			var sum Value
			for range k {
				y := n.conv("branch", 2, shared)
				if sum == 0 {
					sum = y
				} else {
					sum = n.Apply("sum", Add{}, sum, y)[0]
				}
			}
			l := n.loss(sum)
			n.Backward(l, n.params)
			return []Value{l}
		})
		assert.Equal(t, k-1, count(g, "Add"))
		assert.Equal(t, k, count(g, "Conv3DGradInput"))
	}
}

func TestALossAfterALossPassesItsGradientOn(t *testing.T) {
	g := build(t, func(n *net) []Value {
		var l Value
		for range 3 {
			sums := n.Apply("sums", SegSums{Stride: k1}, n.conv("head", 2, n.x), n.labels)[0]
			l = n.Apply("loss", SegLoss{Weight: 1, Mean: 1}, sums, l, n.ctl)[0]
		}
		assert.NotContains(t, n.Backward(l, n.params), Value(0))
		return []Value{l}
	})
	assert.Equal(t, 3, count(g, "SegGrad"))
}

// Every op that is differentiated returns a cotangent for each input or none.
func TestCotangentsHaveTheTypesOfTheirValues(t *testing.T) {
	g := build(t, func(n *net) []Value {
		y := n.conv("first", 4, n.x)
		gamma, beta := n.Param("gamma", 4), n.Param("beta", 4)
		n.params = append(n.params, gamma, beta)
		y = n.Apply("norm", NormAct{Eps: 1e-5, Slope: 1}, y, gamma, beta)[0]
		y = n.Apply("leaky", ActGrad{0.01}, y, y)[0]
		low := n.Apply("pool", AvgPool{k2}, y)[0]
		w, b := n.Param("up.w", 2, 2, 2, 4, 3), n.Param("up.b", 3)
		n.params = append(n.params, w, b)
		up := n.Apply("up", UpConv3D{}, low, w, b)[0]
		z := n.conv("two", 4, up, y)
		z = n.Apply("act", AddAct{0.01}, z, y)[0]
		l := n.loss(n.conv("head", 2, z))
		grads := n.Backward(l, n.params)
		for i, d := range grads {
			require.NotZero(t, d, n.Name(n.params[i]))
			assert.Equal(t, n.Type(n.params[i]), n.Type(d))
		}
		return []Value{l}
	})
	for _, n := range g.Nodes[g.Split:] {
		for _, v := range slices.Concat(n.In, n.Out) {
			assert.GreaterOrEqual(t, v, Value(0), "%s reads the constant 1", n.Name)
		}
	}
}

func TestWhatHasNoGradientSaysSo(t *testing.T) {
	for name, f := range map[string]func(n *net) Value{
		"Blur has no gradient": func(n *net) Value {
			return n.loss(n.Apply("blur", Blur{Ctl: 0}, n.conv("c", 2, n.x), n.ctl)[0])
		},
		"SegSums has no gradient": func(n *net) Value {
			sums := n.Apply("sums", SegSums{Stride: k1, Act: Hard}, n.conv("c", 2, n.x), n.labels)[0]
			return n.Apply("loss", SegLoss{Mean: 1}, sums, 0, n.ctl)[0]
		},
		"one and two have one gradient between them: do not add parameters": func(n *net) Value {
			one, two := n.Param("one", 1, 2, 2, 2, 2), n.Param("two", 1, 2, 2, 2, 2)
			n.params = []Value{one, two}
			return n.loss(n.Apply("sum", Add{}, one, two)[0])
		},
	} {
		_, err := Build(func(b *Builder) []Value {
			n := &net{Builder: b, x: b.Declare("x", IO, T, 1, 2, 2, 2, 1), labels: b.Declare("labels", IO, U8, 1, 2, 2, 2), ctl: b.Declare("ctl", IO, F32, CtlRows)}
			n.Backward(f(n), n.params)
			return nil
		})
		assert.ErrorContains(t, err, name)
	}
}

func TestNamesOfRegionsRulesAndTypes(t *testing.T) {
	assert.Equal(t, "bf16[1×2×3]", Type{BF16, Shape{1, 2, 3}}.String())
	assert.Equal(t, int64(12), Type{BF16, Shape{1, 2, 3}}.Bytes())
	for r := range Region(Regions) {
		assert.NotEmpty(t, r.String())
	}
	assert.Equal(t, 2, AdamW.Slots())
	assert.Equal(t, 4, Adan.Slots())
	assert.Equal(t, "Conv3D", OpName(Conv3D{}))
	assert.Equal(t, "SegGrad", OpName(&SegGrad{}))
}

// Adam's inputs are found again at their places.
func TestPartsOfAStep(t *testing.T) {
	op := Step{Rule: Adam, N: 2}
	in := []Value{9, 1, 2, 11, 12, 21, 22, 31, 32, 41}
	assert.Equal(t, []Value{1, 2}, op.Weights(in))
	assert.Equal(t, []Value{11, 12}, op.Grads(in))
	assert.Equal(t, []Value{21, 22}, op.States(in, 0))
	assert.Equal(t, []Value{31, 32}, op.States(in, 1))
	assert.Equal(t, []Value{41}, op.Halves(in))
	assert.Equal(t, []int{1, 2, 5, 6, 7, 8, 9}, op.Mutates(len(in)))
}

// Two channels each, 3×3×3 taps, 8 voxels, two operations a tap.
func TestCostCountsMultiplyAdds(t *testing.T) {
	g, err := Build(func(b *Builder) []Value {
		x := b.Declare("x", IO, F32, 1, 2, 2, 2, 2)
		return b.Apply("c", Conv3D{k1}, x, b.Param("w", 3, 3, 3, 2, 2), b.Param("b", 2))
	})
	require.NoError(t, err)
	c := g.Cost(g.Nodes[0])
	assert.Equal(t, int64(2*8*27*2*2), c.FLOP)
	assert.Equal(t, int64(4*(16+27*4+2+16)), c.Bytes)
}
