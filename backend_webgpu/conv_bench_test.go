package webgpu

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// layer is a convolution of the network on few voxels.
type layer struct {
	name string
	op   graph.Op
	x    graph.Shape
	x2   int // channels of a second input
	w    []int
}

var stride1 = [3]int{1, 1, 1}

var layers = []layer{
	{"level 1, 32→32", graph.Conv3D{Stride: stride1}, graph.Shape{1, 16, 16, 32, 32}, 0, []int{3, 3, 3, 32, 32}},
	{"level 2, 64→64", graph.Conv3D{Stride: stride1}, graph.Shape{1, 8, 8, 16, 64}, 0, []int{3, 3, 3, 64, 64}},
	{"level 3, 128→128", graph.Conv3D{Stride: stride1}, graph.Shape{1, 4, 8, 8, 128}, 0, []int{3, 3, 3, 128, 128}},
	{"level 6, 320→320", graph.Conv3D{Stride: stride1}, graph.Shape{1, 4, 4, 4, 320}, 0, []int{3, 3, 3, 320, 320}},
	{"two inputs, 32+32→32", graph.Conv3D{Stride: stride1}, graph.Shape{1, 8, 16, 32, 32}, 32, []int{3, 3, 3, 64, 32}},
	{"stride 2, 32→64", graph.Conv3D{Stride: [3]int{2, 2, 2}}, graph.Shape{1, 16, 16, 32, 32}, 0, []int{3, 3, 3, 32, 64}},
	{"1×3×3, 32→32", graph.Conv3D{Stride: stride1}, graph.Shape{1, 16, 16, 32, 32}, 0, []int{1, 3, 3, 32, 32}},
	{"first, 1→32", graph.Conv3D{Stride: stride1}, graph.Shape{1, 32, 32, 32, 1}, 0, []int{3, 3, 3, 1, 32}},
	{"head, 32→3", graph.Conv3D{Stride: stride1}, graph.Shape{1, 32, 32, 32, 32}, 0, []int{1, 1, 1, 32, 3}},
	{"up, 64→32", graph.UpConv3D{}, graph.Shape{1, 16, 16, 16, 64}, 0, []int{2, 2, 2, 64, 32}},
}

// graph is the layer alone, from x and x2 to y.
func (l layer) graph(t testing.TB) (g *graph.Graph, y graph.Value) {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		in := []graph.Value{b.Declare("x", graph.Data, graph.T, l.x...), b.Param("w", l.w...), b.Param("b", l.w[4])}
		if l.x2 > 0 {
			x2 := slices.Clone(l.x)
			x2[4] = l.x2
			in = append(in, b.Declare("x2", graph.Data, graph.T, x2...))
		}
		y = b.Apply("conv", l.op, in...)[0]
		b.Place(y, graph.IO)
		return []graph.Value{y}
	})
	require.NoError(t, err)
	return g, y
}

// BenchmarkConv3D is layers by the kernels that work in blocks. Each is on few
// voxels, as a software adapter computes few.
func BenchmarkConv3D(b *testing.B) {
	for _, l := range layers {
		b.Run(l.name, func(b *testing.B) {
			d := open(b).(*device)
			defer func() { require.NoError(b, d.Close()) }()
			g, y := l.graph(b)
			p, err := compile.Compile(g, compile.Options{})
			require.NoError(b, err)
			s, err := backend.NewSession(d, p, nil)
			require.NoError(b, err)
			defer s.Close()
			run := func() {
				require.NoError(b, s.Run(b.Context()))
				require.NoError(b, s.Read(b.Context(), y, make([]byte, 4)))
			}
			run() // compiles
			for b.Loop() {
				run()
			}
			flop := float64(p.Cost(p.Nodes[0]).FLOP)
			b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
