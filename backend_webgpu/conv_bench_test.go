package webgpu

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// BenchmarkConv3D is a 3×3×3 convolution by the kernel that works in blocks, and
// by the simple one.
func BenchmarkConv3D(b *testing.B) {
	for _, c := range []struct{ ci, co, size int }{{32, 32, 24}, {64, 64, 12}, {128, 128, 6}} {
		for _, simple := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d→%d %d³ simple=%v", c.ci, c.co, c.size, simple), func(b *testing.B) {
				d := open(b).(*device)
				defer func() { require.NoError(b, d.Close()) }()
				d.simple = simple
				var y graph.Value
				g, err := graph.Build(func(g *graph.Builder) []graph.Value {
					x := g.Declare("x", graph.IO, graph.T, 1, c.size, c.size, c.size, c.ci)
					y = g.Apply("conv", graph.Conv3D{Stride: [3]int{1, 1, 1}}, x, g.Param("w", 3, 3, 3, c.ci, c.co), g.Param("b", c.co))[0]
					g.Place(y, graph.IO)
					return []graph.Value{y}
				})
				require.NoError(b, err)
				p, err := compile.Compile(g, compile.Options{})
				require.NoError(b, err)
				s, err := backend.NewSession(d, p, nil)
				require.NoError(b, err)
				defer s.Close()
				last := make([]byte, 4)
				for b.Loop() {
					require.NoError(b, s.Run(b.Context()))
					require.NoError(b, s.Read(b.Context(), y, last))
				}
				flop := float64(p.Cost(p.Nodes[0]).FLOP)
				b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
