//go:build linux && amd64

package cuda

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// folded is a small network whose norms are read by all that can make them: a
// convolution with a stride, one of two inputs, a transposed one, and their gradients.
type folded struct {
	x, labels, ctl, loss graph.Value
	grads                []graph.Value
}

func (f *folded) program(t *testing.T, o compile.Options, size [3]int) *compile.Program {
	p, err := compile.Compile(f.graph(t, size), o)
	require.NoError(t, err)
	return p
}

func (f *folded) graph(t *testing.T, size [3]int) *graph.Graph {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		f.x = b.Declare("x", graph.IO, graph.T, 2, size[0], size[1], size[2], 8)
		f.labels = b.Declare("labels", graph.IO, graph.U8, 2, size[0], size[1], size[2])
		f.ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows)
		var params []graph.Value
		param := func(name string, sizes ...int) graph.Value {
			params = append(params, b.Param(name, sizes...))
			return params[len(params)-1]
		}
		kernel, two := [3]int{min(3, size[0]), 3, 3}, [3]int{min(2, size[0]), 2, 2}
		layer := func(name string, co int, stride [3]int, ci int, x ...graph.Value) graph.Value {
			in := append([]graph.Value{x[0], param(name+".w", kernel[0], kernel[1], kernel[2], ci, co), param(name+".b", co)}, x[1:]...)
			y := b.Apply(name, graph.Conv3D{Stride: stride}, in...)[0]
			return b.Apply(name+".norm", graph.NormAct{Eps: 1e-5, Slope: 0.01}, y, param(name+".gamma", co), param(name+".beta", co))[0]
		}
		skip := layer("a", 16, k(1, 1, 1), 40, layer("first", 40, k(1, 1, 1), 8, f.x))
		deep := layer("b", 48, two, 16, skip)
		up := b.Apply("up", graph.UpConv3D{}, deep, param("up.w", two[0], two[1], two[2], 48, 16), 0)[0]
		last := layer("c", 8, k(1, 1, 1), 32, up, skip)
		logits := b.Apply("head", graph.Conv3D{Stride: k(1, 1, 1)}, last, param("head.w", 1, 1, 1, 8, 3), 0)[0]
		sums := b.Apply("sums", graph.SegSums{Stride: k(1, 1, 1), Ignore: -1}, logits, f.labels)[0]
		f.loss = b.Apply("loss", graph.SegLoss{Weight: 1, CE: 1, Dice: 1, Smooth: 1e-5, Mean: 1, First: 1}, sums, 0, f.ctl)[0]
		b.Place(f.loss, graph.IO)
		f.grads = b.Backward(f.loss, params)
		return []graph.Value{f.loss}
	})
	require.NoError(t, err)
	return g
}

// run is what the loss and the gradients are.
func (f *folded) run(t *testing.T, to target, p *compile.Program) (bits []float32) {
	f.runs(t, to, p, func(b []float32) (more bool) { bits = b; return false })
	return bits
}

// runs gives each what they are, until it wants no more.
func (f *folded) runs(t *testing.T, to target, p *compile.Program, each func(bits []float32) (more bool)) {
	s, err := backend.NewSession(openEmulated(t, to), p, nil)
	require.NoError(t, err)
	defer s.Close()
	ctx, r := t.Context(), rand.New(rand.NewPCG(3, 4))
	random := func(v graph.Value, scale float64) []float32 {
		all := make([]float32, p.Type(v).Shape.Elems())
		for i := range all {
			all[i] = float32(r.NormFloat64() * scale)
		}
		return all
	}
	for i, info := range p.Values {
		if info.Region == graph.Weights {
			require.NoError(t, s.WriteWeight(ctx, graph.Value(i+1), random(graph.Value(i+1), 0.2)))
		}
	}
	require.NoError(t, s.WriteFloats(ctx, f.x, random(f.x, 1)))
	labels, ctl := make([]byte, p.Type(f.labels).Shape.Elems()), make([]float32, graph.CtlRows)
	for i := range labels {
		labels[i] = byte(r.IntN(3))
	}
	ctl[graph.CtlLossScale] = 64
	require.NoError(t, s.Write(ctx, f.labels, labels))
	require.NoError(t, s.WriteF32(ctx, f.ctl, ctl))
	for more := true; more; {
		require.NoError(t, s.Run(ctx))
		var bits []float32
		for _, v := range append([]graph.Value{f.loss}, f.grads...) {
			out := make([]float32, p.Type(v).Shape.Elems())
			require.NoError(t, s.ReadF32(ctx, v, out))
			bits = append(bits, out...)
		}
		more = each(bits)
	}
}

// A norm that the kernels behind it make has the bits of one that is stored: loss and
// gradients do not change, whichever of them make it.
func TestNormsInThePrologueKeepTheBits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		storage graph.DType
		size    [3]int
		again   bool // the backward pass makes them anew
		groups  rule
	}{
		{graph.F16, k(6, 6, 10), false, never},
		{graph.F16, k(6, 6, 10), true, never},
		{graph.F16, k(1, 10, 20), false, never},
		{graph.F32, k(4, 4, 6), false, never},
		{graph.F32, k(1, 10, 20), true, never},
		{graph.F16, k(6, 6, 10), true, always},
		{graph.F16, k(1, 10, 20), false, always},
	} {
		t.Run(fmt.Sprint(c.storage, c.size, c.again, c.groups == always), func(t *testing.T) {
			var f folded
			p := f.program(t, compile.Options{Storage: c.storage, Rematerialise: c.again}, c.size)
			stored, all := hopper, hopper
			stored.Fold, all.Fold = never, always
			stored.Groups, all.Groups = c.groups, c.groups
			ls, err := launchesOf(p, all)
			require.NoError(t, err)
			for _, l := range ls.List {
				assert.NotContains(t, l.Kernel, "norm_apply", "a norm is stored: %s", p.Nodes[l.Node].Name)
			}
			want := f.run(t, stored, p)
			require.True(t, slices.ContainsFunc(want, func(v float32) bool { return v != 0 }))
			run := 0
			f.runs(t, all, p, func(got []float32) bool {
				require.True(t, slices.Equal(want, got), "run %d has other bits", run)
				run++
				return run < 4 // orders of warps
			})
		})
	}
}

// A program without gradients has its norms where what they read lay: there too they are
// made or stored, with the same bits.
func TestNormsOfAPredictionKeepTheBits(t *testing.T) {
	var f folded
	train := f.graph(t, k(6, 6, 10))
	f.grads = nil
	forward := *train
	forward.Nodes = train.Nodes[:train.Split]
	var want []float32
	for _, in := range []bool{false, true} {
		p, err := compile.Compile(&forward, compile.Options{Storage: graph.F16, InPlace: in})
		require.NoError(t, err)
		for _, fold := range []rule{never, whenFaster, always} {
			to := hopper
			to.Fold = fold
			ls, err := launchesOf(p, to)
			require.NoError(t, err)
			if in && fold == always {
				assert.NotContains(t, kernels(ls.List), "norm_apply_blocked")
			}
			got := f.run(t, to, p)
			if want == nil {
				want = got
			}
			assert.Equal(t, want, got, "in place %v, folding %d", in, fold)
		}
	}
}

// The rule: a value of two bytes is made up to three times where it would be stored, one
// of four six times.
func TestANormIsMadeWhereThatIsFaster(t *testing.T) {
	assert.True(t, faster(3.1, 2))
	assert.False(t, faster(3.3, 2))
	assert.True(t, faster(6.3, 4))
	assert.False(t, faster(6.5, 4))
	c := realPlans()["128³"]
	count := func(fold rule) (n int) {
		for _, l := range realLaunches(t, c, graph.F16, target{Arch: 90, SMs: 132, Fold: fold}) {
			if l.Kernel == "norm_table" {
				n++
			}
		}
		return n
	}
	assert.Zero(t, count(never))
	assert.Positive(t, count(whenFaster))
	assert.Greater(t, count(always), count(whenFaster))
}

func kernels(list []launch) (names []string) {
	for _, l := range list {
		names = append(names, l.Kernel)
	}
	return names
}
