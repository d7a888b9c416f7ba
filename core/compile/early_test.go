package compile

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// In any size of buckets every gradient is added up once, when its last term is there and
// before anything else sees it; the backward pass goes on beside all buckets but the last.
func TestGradientsAreReducedWhenTheyAreReady(t *testing.T) {
	net := newTrained(t, true)
	for bytes, buckets := range map[int64]int{1: 6, 24: 4, 500: 2, 0: 1} {
		p, err := Compile(net.Graph, Options{World: 2, BucketBytes: bytes})
		require.NoError(t, err)
		var reduced []graph.Value
		last := len(p.Nodes)
		for i, n := range p.Nodes {
			if _, ok := n.Op.(graph.AllReduce); !ok {
				continue
			}
			last = i
			reduced = append(reduced, n.In...)
			size := int64(0)
			for _, v := range n.In {
				size += p.Type(v).Bytes()
				made := slices.IndexFunc(p.Nodes, func(m graph.Node) bool { return slices.Contains(m.Out, v) })
				assert.Less(t, made, i, "%d: %s is made before it is reduced", bytes, p.Info(v).Name)
			}
			until := p.Until(i)
			assert.Equal(t, "GradNorm", graph.OpName(p.Nodes[until].Op), "the first to see gradients")
			buckets--
			if buckets > 0 {
				assert.GreaterOrEqual(t, size, bytes)
				assert.NotEqual(t, "GradNorm", graph.OpName(p.Nodes[i+1].Op), "something runs beside it")
			}
		}
		assert.Zero(t, buckets, "buckets of %d bytes", bytes)
		assert.Equal(t, "GradNorm", graph.OpName(p.Nodes[last+1].Op), "the last has nothing beside it")
		slices.Sort(reduced)
		assert.Len(t, reduced, len(net.params))
		assert.Equal(t, reduced, slices.Compact(slices.Clone(reduced)), "each once")
		assert.Equal(t, "SegSums", graph.OpName(p.Nodes[p.Split-2].Op), "the forward pass ends where it did")
	}
}

// A step in which a device is lost has not been: nothing that lasts changes before all
// gradients are there, not even what has no gradient.
func TestNothingThatLastsChangesBesideAnAllReduce(t *testing.T) {
	var x, kept graph.Value
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x, kept = b.Declare("x", graph.IO, graph.F32, 8), b.Declare("kept", graph.IO, graph.F32, graph.CtlRows)
		y := b.Declare("y", graph.IO, graph.F32, 8)
		b.Apply("reduce", graph.AllReduce{}, x)
		z := b.Apply("beside", graph.Add{}, y, y)[0]
		b.Place(z, graph.IO)
		b.Apply("norm", graph.GradNorm{}, kept, y)
		w := b.Apply("after", graph.Add{}, x, z)[0]
		return []graph.Value{w}
	})
	require.NoError(t, err)
	p, err := Compile(g, Options{World: 2})
	require.NoError(t, err)
	require.Equal(t, "reduce", p.Nodes[0].Name)
	assert.Equal(t, "norm", p.Nodes[p.Until(0)].Name)
	p.Nodes = slices.Delete(slices.Clone(p.Nodes), 2, 3)
	assert.Equal(t, "after", p.Nodes[p.Until(0)].Name)
	p.Nodes = p.Nodes[:2]
	assert.Equal(t, 2, p.Until(0), "the end of the run")
}
