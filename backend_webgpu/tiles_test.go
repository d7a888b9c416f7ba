package webgpu

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

// Inputs are eighths, whose sums are exact in any order: kernels in blocks give what
// the simple ones give, which the conformance suite judges, for tiles that none of
// its cases has.
func TestEveryTileGivesWhatTheSimpleKernelGives(t *testing.T) {
	conv, strided := graph.Conv3D{Stride: stride1}, graph.Conv3D{Stride: [3]int{2, 1, 2}}
	var list []layer
	for _, w := range []int{5, 8} { // 4 voxels a tile, and 8
		for _, co := range []int{12, 16} { // 4 channels, and 8
			size := graph.Shape{2, 3, 3, w, 8}
			list = append(list,
				layer{"fours", conv, size, 0, []int{3, 3, 3, 8, co}},
				layer{"fours of two inputs", conv, size, 4, []int{3, 3, 3, 12, co}},
				layer{"fours, stride 2", strided, graph.Shape{1, 3, 3, 2 * w, 8}, 0, []int{3, 3, 3, 8, co}},
				layer{"fours, 1×1×1", conv, size, 0, []int{1, 1, 1, 8, co}},
				layer{"any", conv, graph.Shape{2, 3, 3, w, 3}, 0, []int{3, 3, 3, 3, co}},
				layer{"any, stride 2", strided, graph.Shape{1, 3, 3, 2 * w, 1}, 0, []int{3, 3, 3, 1, co - 1}},
				layer{"up", graph.UpConv3D{}, size, 0, []int{2, 1, 2, 8, co}},
			)
		}
	}
	d := opened(t)
	for _, l := range list {
		for _, storage := range []graph.DType{graph.F32, graph.F16} {
			t.Run(fmt.Sprintf("%s, %v to %d %v", l.name, l.x, l.w[4], storage), func(t *testing.T) {
				d.simple = true
				want := l.run(t, d, storage, eighths)
				d.simple = false
				assert.Equal(t, want, l.run(t, d, storage, eighths))
				assert.NotZero(t, want)
			})
		}
	}
}

func eighths(r *rand.Rand) float32 { return float32(r.IntN(17)-8) / 8 }

func gaussian(r *rand.Rand) float32 { return float32(r.NormFloat64()) }

// run is y of the layer on numbers that are drawn.
func (l layer) run(t *testing.T, d *device, storage graph.DType, draw func(*rand.Rand) float32) []float32 {
	g, y := l.graph(t)
	p, err := compile.Compile(g, compile.Options{Storage: storage})
	require.NoError(t, err)
	s, err := backend.NewSession(d, p, nil)
	require.NoError(t, err)
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 2))
	for i, info := range g.Values {
		v := graph.Value(i + 1)
		values := make([]float32, info.Type.Shape.Elems())
		for j := range values {
			values[j] = draw(r)
		}
		switch {
		case v == y:
		case info.Region == graph.Weights:
			require.NoError(t, s.WriteWeight(t.Context(), v, values))
		default:
			write(t, s, v, values)
		}
	}
	require.NoError(t, s.Run(t.Context()))
	out := make([]float32, g.Type(y).Shape.Elems())
	require.NoError(t, s.ReadFloats(t.Context(), y, out))
	return out
}

// write writes v in the type that it is stored in.
func write(t *testing.T, s *backend.Session, v graph.Value, values []float32) {
	if s.Program.Type(v).DType == graph.F32 {
		require.NoError(t, s.WriteF32(t.Context(), v, values))
		return
	}
	var b []byte
	for _, x := range values {
		b = binary.LittleEndian.AppendUint16(b, half.ToF16(x))
	}
	require.NoError(t, s.Write(t.Context(), v, b))
}
