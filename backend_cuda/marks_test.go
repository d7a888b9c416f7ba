//go:build cuda && linux

package cuda

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// chain is n additions, one after the other.
func chain(t *testing.T, n int) *compile.Program {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		x := b.Declare("x", graph.IO, graph.F32, 1, 1, 1, 64, 1)
		y := x
		for i := range n {
			y = b.Apply(fmt.Sprintf("add%d", i), graph.Add{}, y, x)[0]
		}
		b.Place(y, graph.IO)
		return []graph.Value{y}
	})
	require.NoError(t, err)
	p, err := compile.Compile(g, compile.Options{})
	require.NoError(t, err)
	return p
}

// A fault in the replay of a graph has the names of the few nodes that it is in, whichever of
// the programs that are under way it hits.
func TestAFaultOfAGraphHasTheNamesOfItsPart(t *testing.T) {
	e := emulatedOnly(t)
	const nodes = 40 // parts of 16, and a mark before each
	for _, c := range []struct {
		node int64
		want string
	}{{0, "between add0 and add15; "}, {15, "between add0 and add15; "}, {16, "between add16 and add31; "}, {39, "between add32 and add39; "}} {
		d := opened(t)
		first, err := backend.NewSession(d, two(t), nil)
		require.NoError(t, err)
		s, err := backend.NewSession(d, chain(t, nodes), nil)
		require.NoError(t, err)
		require.NoError(t, d.stream.Synchronize())
		marks := e.calls("cuLaunchKernel")
		require.NoError(t, first.Run(t.Context()))
		require.NoError(t, s.Run(t.Context()))
		assert.Equal(t, marks, e.calls("cuLaunchKernel"), "marks are nodes of the graph")
		e.inject(700, 1+2+1 /* a mark, two nodes, an event */ +1+c.node/16+c.node)
		err = s.Read(t.Context(), 1, make([]byte, 4))
		require.ErrorIs(t, err, backend.ErrLost)
		require.ErrorContains(t, err, c.want)
		first.Close()
		s.Close()
		require.NoError(t, d.Close())
	}
}
