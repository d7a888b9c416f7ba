package compile

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
)

// randomGraph is a chain of convolutions, norms and sums of random sizes that read any
// values before them.
func randomGraph(t *testing.T, r *rand.Rand) *graph.Graph {
	t.Helper()
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		vs := []graph.Value{b.Declare("x", graph.IO, graph.T, 1, 1+r.IntN(3), 1+r.IntN(9), 1+r.IntN(9), 1)}
		for i := range 2 + r.IntN(60) {
			x := vs[r.IntN(len(vs))]
			name := fmt.Sprintf("n%d", i)
			if r.IntN(3) == 0 {
				vs = append(vs, b.Apply(name, graph.Add{}, x, x)[0])
				continue
			}
			c, co := b.Type(x).Shape[4], 1+r.IntN(20)
			if r.IntN(3) == 0 {
				vs = append(vs, b.Apply(name, graph.NormAct{}, x, b.Param(name+".gamma", c), b.Param(name+".beta", c))[0])
				continue
			}
			in := []graph.Value{x, b.Param(name+".w", 1, 1, 1, c, co), b.Param(name+".b", co)}
			vs = append(vs, b.Apply(name, graph.Conv3D{Stride: k1}, in...)[0])
		}
		var out []graph.Value
		for range 1 + r.IntN(3) {
			out = append(out, vs[r.IntN(len(vs))])
		}
		return out
	})
	require.NoError(t, err)
	return g
}

// span is when a value of Scratch is needed: from the node that makes it to the
// last that reads it, or to the end.
func span(p *Program, v graph.Value) (first, last int) {
	first = -1
	for i, n := range p.Nodes {
		if slices.Contains(n.Out, v) {
			first, last = i, i
		}
		if slices.Contains(n.In, v) {
			last = i
		}
	}
	if slices.Contains(p.Outputs, v) {
		last = len(p.Nodes)
	}
	return first, last
}

// checkArena: values that are needed at one time do not share a byte, and every
// value lies aligned within its chunk.
func checkArena(t *testing.T, p *Program, o Options) {
	t.Helper()
	for i := range p.Values {
		v := graph.Value(i + 1)
		a, ok := p.Place(v)
		if !ok {
			continue
		}
		require.Equal(t, p.Type(v).Bytes(), a.Bytes)
		require.Zero(t, a.Offset%Align)
		require.Less(t, a.Chunk, len(p.Size[a.Region]))
		require.LessOrEqual(t, a.Offset+a.Bytes, p.Size[a.Region][a.Chunk])
		af, al := span(p, v)
		for j := range i {
			w := graph.Value(j + 1)
			b, ok := p.Place(w)
			if !ok || a.Region != b.Region || a.Chunk != b.Chunk || a.Offset >= b.Offset+b.Bytes || b.Offset >= a.Offset+a.Bytes {
				continue
			}
			bf, bl := span(p, w)
			require.Equal(t, graph.Scratch, a.Region, "%s and %s share memory", p.Info(v).Name, p.Info(w).Name)
			if o.InPlace && (written(p, v, w) || written(p, w, v)) {
				require.Equal(t, a, b)
				continue
			}
			require.True(t, al < bf || bl < af, "%s and %s share memory at one time", p.Info(v).Name, p.Info(w).Name)
		}
	}
	for r, sizes := range p.Size {
		for _, n := range sizes {
			require.Zero(t, n%Align)
			if o.BufferBytes > 0 {
				require.LessOrEqual(t, n, o.BufferBytes, r)
			}
		}
	}
}

// written says that a norm writes y over x, which nobody reads later.
func written(p *Program, x, y graph.Value) bool {
	first, _ := span(p, y)
	_, last := span(p, x)
	if first < 0 || first != last {
		return false
	}
	_, norm := p.Nodes[first].Op.(graph.NormAct)
	return norm && p.Nodes[first].In[0] == x && p.Nodes[first].Out[0] == y
}

// What a norm makes takes no memory of its own where it can lie over what it reads.
func TestANormInPlaceTakesNoMemory(t *testing.T) {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x := b.Declare("x", graph.IO, graph.T, 1, 8, 8, 8, 4)
		for i := range 20 {
			x = b.Apply(fmt.Sprint("conv", i), graph.Conv3D{Stride: k1}, x, b.Param(fmt.Sprint("w", i), 1, 1, 1, 4, 4), 0)[0]
			x = b.Apply(fmt.Sprint("norm", i), graph.NormAct{}, x, b.Param(fmt.Sprint("gamma", i), 4), b.Param(fmt.Sprint("beta", i), 4))[0]
		}
		return []graph.Value{b.Apply("sum", graph.Add{}, x, x)[0]}
	})
	require.NoError(t, err)
	const value, stats = 8 * 8 * 8 * 4 * 4, Align
	p := mustCompile(t, g, Options{})
	assert.Equal(t, int64(2*value+stats), p.Bytes(graph.Scratch))
	p = mustCompile(t, g, Options{InPlace: true})
	assert.Equal(t, int64(2*value), p.Bytes(graph.Scratch), "stats lie where the norm needs no second value")
	for _, n := range p.Nodes {
		if _, norm := n.Op.(graph.NormAct); norm {
			x, _ := p.Place(n.In[0])
			y, _ := p.Place(n.Out[0])
			assert.Equal(t, x, y, n.Name)
		}
	}
}

func TestArenaNeverOverlaps(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		g := randomGraph(t, r)
		for _, o := range []Options{{}, {InPlace: true}, {Storage: graph.F16}, {BufferBytes: 25001, InPlace: true}, {BufferBytes: 1 << 15, Storage: graph.BF16}} {
			p, err := Compile(g, o)
			require.NoError(t, err, "seed %d", seed)
			checkArena(t, p, o)
		}
	}
}

func TestArenaOfATrainingStepNeverOverlaps(t *testing.T) {
	for _, o := range []Options{{}, {Storage: graph.F16, Rematerialise: true}, {BufferBytes: 12000, Rematerialise: true}, {BufferBytes: 9000, Storage: graph.BF16}} {
		p := mustCompile(t, newTrained(t, true).Graph, o)
		checkArena(t, p, o)
	}
}

// The arena is not worse than its largest node asks for, by much.
func TestArenaOfAChainHoldsTwoValues(t *testing.T) {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x := b.Declare("x", graph.IO, graph.T, 1, 4, 4, 4, 4)
		for i := range 20 {
			x = b.Apply(fmt.Sprint(i), graph.Add{}, x, x)[0]
		}
		return []graph.Value{x}
	})
	require.NoError(t, err)
	p := mustCompile(t, g, Options{})
	assert.Equal(t, int64(2*4*4*4*4*4), p.Bytes(graph.Scratch))
}

// Half, Grads and State repeat the layout of Weights: the same offset in
// elements, slot after slot.
func TestFollowersLieWhereTheirWeightsLie(t *testing.T) {
	for _, limit := range []int64{0, 1 << 14, 9000} {
		p := mustCompile(t, newTrained(t, true).Graph, Options{Storage: graph.F16, BufferBytes: limit})
		weights := int64(0) // bytes from the beginning of one slot to that of the next
		for i, info := range p.Values {
			at, ok := p.Place(graph.Value(i + 1))
			if info.Of == 0 || !ok {
				continue
			}
			w, _ := p.Place(info.Of)
			switch info.Region {
			case graph.Half:
				assert.Equal(t, w.Chunk, at.Chunk, info.Name)
				assert.Equal(t, w.Offset/4, at.Offset/2, info.Name)
			case graph.Grads:
				assert.Equal(t, w.Chunk, at.Chunk, info.Name)
				assert.Equal(t, w.Offset, at.Offset, info.Name)
			case graph.State:
				if info.Slot == 0 {
					assert.Equal(t, []int64{int64(w.Chunk), w.Offset}, []int64{int64(at.Chunk), at.Offset}, info.Name)
				} else if limit == 0 {
					if weights == 0 {
						weights = at.Offset - w.Offset
					}
					assert.Equal(t, weights, at.Offset-w.Offset, info.Name)
					assert.GreaterOrEqual(t, weights, p.Bytes(graph.Weights))
				}
			}
		}
	}
}

// A kernel may go over all parameters as one range: it is as long in Weights as
// in Grads, and State has it once a slot.
func TestRangesAreEquallyLong(t *testing.T) {
	p := mustCompile(t, newTrained(t, true).Graph, Options{})
	assert.Equal(t, p.Size[graph.Weights], p.Size[graph.Grads])
	assert.Equal(t, 2*p.Bytes(graph.Weights), p.Bytes(graph.State))
}

// Without optimizer state a program has only the weights that it reads: with
// 16-bit storage the masters of convolutions are not on the device.
func TestPredictionHasOnlyTheWeightsThatItReads(t *testing.T) {
	n := newTrained(t, false)
	p := mustCompile(t, n.Graph, Options{Storage: graph.F16})
	_, ok := p.Place(n.params[0])
	assert.False(t, ok, "first.w is read as its copy")
	_, ok = p.Place(n.params[1])
	assert.True(t, ok, "first.b is read in f32")
	assert.Equal(t, mustCompile(t, newTrained(t, true).Graph, Options{Storage: graph.F16}).Size[graph.Weights],
		mustCompile(t, n.Graph, Options{Storage: graph.F16, Linked: true}).Size[graph.Weights],
		"linked, the layout is that of training")
}

func TestValuesThatDoNotFitAreNamed(t *testing.T) {
	g := newTrained(t, true).Graph
	for _, o := range []Options{{ValueBytes: 5000}, {BufferBytes: 5000}} {
		_, err := Compile(g, o)
		require.Error(t, err)
		assert.ErrorContains(t, err, "value first f32[2×4×6×6×5] needs 6 KiB")
		assert.ErrorContains(t, err, "5 KiB")
		assert.ErrorContains(t, err, "choose a smaller patch or batch")
	}
	// 5760 bytes take 23 steps of 256, of which a buffer of 5887 has 22.
	_, err := Compile(g, Options{BufferBytes: 5887})
	assert.Error(t, err)
	_, err = Compile(g, Options{BufferBytes: 5888})
	assert.NoError(t, err)
}

func TestAValueReadBeforeItIsMadeIsNamed(t *testing.T) {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		ghost := b.Declare("ghost", graph.Scratch, graph.T, 1, 1, 1, 1, 1)
		return b.Apply("sum", graph.Add{}, ghost, ghost)
	})
	require.NoError(t, err)
	_, err = Compile(g, Options{})
	assert.ErrorContains(t, err, "sum reads ghost, which no node before it makes")
}
