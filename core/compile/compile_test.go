package compile

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

var k1 = [3]int{1, 1, 1}

// trained is a network of two convolutions with norm, loss and step.
type trained struct {
	*graph.Graph
	x, y, logits graph.Value
	params       []graph.Value
}

func newTrained(t *testing.T, step bool) trained {
	t.Helper()
	var r trained
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		param := func(name string, shape ...int) graph.Value {
			v := b.Param(name, shape...)
			r.params = append(r.params, v)
			return v
		}
		ctl := b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows)
		r.x = b.Declare("x", graph.IO, graph.T, 2, 4, 6, 6, 1)
		labels := b.Declare("labels", graph.IO, graph.U8, 2, 4, 6, 6)
		c := b.Apply("first", graph.Conv3D{Stride: k1}, r.x, param("first.w", 3, 3, 3, 1, 5), param("first.b", 5))[0]
		r.y = b.Apply("norm", graph.NormAct{Eps: 1e-5, Slope: 0.01}, c, param("norm.gamma", 5), param("norm.beta", 5))[0]
		r.logits = b.Apply("head", graph.Conv3D{Stride: k1}, r.y, param("head.w", 1, 1, 1, 5, 3), param("head.b", 3))[0]
		sums := b.Apply("sums", graph.SegSums{Stride: k1, Ignore: -1}, r.logits, labels)[0]
		loss := b.Apply("loss", graph.SegLoss{Weight: 1, CE: 1, Mean: 1}, sums, 0, ctl)[0]
		b.Place(loss, graph.IO)
		if step {
			grads := b.Backward(loss, r.params)
			b.Apply("reduce", graph.AllReduce{Mean: true}, grads...)
			b.Apply("norm", graph.GradNorm{}, append([]graph.Value{ctl}, grads...)...)
			in := slices.Concat([]graph.Value{ctl}, r.params, grads)
			for slot := range 2 {
				for _, w := range r.params {
					in = append(in, b.State(w, slot))
				}
			}
			b.Apply("step", graph.Step{Rule: graph.Adam, N: len(r.params)}, in...)
		}
		return []graph.Value{loss}
	})
	require.NoError(t, err)
	r.Graph = g
	return r
}

func mustCompile(t *testing.T, g *graph.Graph, o Options) *Program {
	t.Helper()
	p, err := Compile(g, o)
	require.NoError(t, err)
	return p
}

// ops lists the ops of a program in order.
func ops(p *Program) (names []string) {
	for _, n := range p.Nodes {
		names = append(names, graph.OpName(n.Op))
	}
	return names
}

func TestUnusedNodesAreDropped(t *testing.T) {
	var kept graph.Value
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x := b.Declare("x", graph.IO, graph.T, 1, 2, 2, 2, 1)
		y := b.Apply("read", graph.Add{}, x, x)[0]
		z := b.Apply("dead", graph.Add{}, y, y)[0]
		b.Apply("dead too", graph.Add{}, z, z)
		kept = b.Apply("kept", graph.Add{}, y, x)[0]
		b.Place(kept, graph.IO)
		acc := b.Declare("acc", graph.IO, graph.F32, 3)
		b.Apply("reduce", graph.AllReduce{}, acc)
		return nil
	})
	require.NoError(t, err)
	p := mustCompile(t, g, Options{})
	assert.Equal(t, []string{"Add", "Add"}, ops(p))
	assert.Equal(t, []string{"read", "kept"}, []string{p.Nodes[0].Name, p.Nodes[1].Name})
	_, ok := p.Place(p.Find(graph.Scratch, "dead"))
	assert.False(t, ok, "a dropped value needs no memory")
	assert.Equal(t, []string{"Add", "Add", "AllReduce"}, ops(mustCompile(t, g, Options{World: 2})))
	assert.Len(t, g.Nodes, 5, "the graph itself is not changed")
}

func TestDroppingKeepsTheBackwardPassApart(t *testing.T) {
	n := newTrained(t, true)
	p := mustCompile(t, n.Graph, Options{})
	assert.Equal(t, "SegGrad", graph.OpName(p.Nodes[p.Split].Op))
	assert.Equal(t, "SegLoss", graph.OpName(p.Nodes[p.Split-1].Op))
	p = mustCompile(t, newTrained(t, false).Graph, Options{})
	assert.Equal(t, len(p.Nodes), p.Split)
}

func TestPrecisionGivesStorageTypes(t *testing.T) {
	for _, storage := range []graph.DType{graph.F32, graph.F16, graph.BF16} {
		n := newTrained(t, true)
		p := mustCompile(t, n.Graph, Options{Storage: storage})
		assert.Equal(t, storage, p.Type(n.y).DType)
		assert.Equal(t, storage, p.Type(n.logits).DType)
		assert.Equal(t, graph.T, n.Type(n.y).DType, "the graph itself is not changed")
		for i, info := range p.Values {
			assert.NotEqual(t, graph.T, info.Type.DType, info.Name)
			if slices.Contains([]graph.Region{graph.Weights, graph.Grads, graph.State}, info.Region) {
				assert.Equal(t, graph.F32, p.Type(graph.Value(i+1)).DType, info.Name)
			}
		}
	}
}

// With 16 bits, convolutions read copies, one a weight, and Step writes them.
func TestConvolutionsReadCopies(t *testing.T) {
	n := newTrained(t, true)
	p := mustCompile(t, n.Graph, Options{Storage: graph.BF16})
	halves := p.in(graph.Half)
	require.Len(t, halves, 2, "the weights of two convolutions; biases and norms stay f32")
	for _, node := range p.Nodes {
		switch op := node.Op.(type) {
		case graph.HalfReader:
			assert.Contains(t, halves, node.In[op.HalfInput()], node.Name)
		case graph.Step:
			assert.Equal(t, halves, op.Halves(node.In))
		}
	}
	for _, h := range halves {
		info := p.Info(h)
		assert.Equal(t, graph.BF16, info.Type.DType)
		assert.Equal(t, p.Type(info.Of).Shape, info.Type.Shape)
	}
	assert.Empty(t, mustCompile(t, n.Graph, Options{}).in(graph.Half))
}

func TestRematerialiseKeepsNoResultOfANorm(t *testing.T) {
	n := newTrained(t, true)
	p := mustCompile(t, n.Graph, Options{Rematerialise: true})
	last := 0
	for i, node := range p.Nodes {
		if slices.Contains(node.In, n.y) {
			last = i
		}
	}
	assert.Less(t, last, p.Split, "the backward pass does not read the result of the norm")
	assert.Contains(t, ops(p)[p.Split:], "NormApply")
	assert.NotContains(t, ops(mustCompile(t, n.Graph, Options{})), "NormApply")
}

// Dump is what a network looks like; GOUNET_UPDATE=1 rewrites the golden file.
func TestDumpShowsTheProgram(t *testing.T) {
	p := mustCompile(t, newTrained(t, true).Graph, Options{Storage: graph.F16, Rematerialise: true})
	var b bytes.Buffer
	require.NoError(t, p.Dump(&b))
	const golden = "testdata/dump.txt"
	if os.Getenv("GOUNET_UPDATE") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, b.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), b.String())
}

func TestDumpReturnsTheErrorOfTheWriter(t *testing.T) {
	p := mustCompile(t, newTrained(t, false).Graph, Options{})
	assert.ErrorContains(t, p.Dump(full{}), "full")
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, fmt.Errorf("full") }
