package webgpu

import (
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/internal/half"
)

// Weights in workgroup memory meet the same values in the same order as those that
// each invocation loads itself. Software adapters do not use the former otherwise.
func TestWeightsInWorkgroupMemoryGiveTheSameBits(t *testing.T) {
	d := opened(t)
	for _, l := range []layer{
		{"pieces beyond the last", graph.Conv3D{Stride: stride1}, graph.Shape{2, 3, 3, 13, 8}, 0, []int{3, 3, 3, 8, 32}},
		{"64 channels", graph.Conv3D{Stride: stride1}, graph.Shape{1, 2, 3, 8, 16}, 0, []int{3, 3, 3, 16, 64}},
		{"24 channels", graph.Conv3D{Stride: stride1}, graph.Shape{1, 2, 3, 8, 16}, 0, []int{3, 3, 3, 16, 24}},
		{"two inputs, an odd number of fours", graph.Conv3D{Stride: stride1}, graph.Shape{1, 3, 2, 15, 8}, 4, []int{3, 3, 3, 12, 16}},
		{"stride 2", graph.Conv3D{Stride: [3]int{2, 2, 2}}, graph.Shape{1, 3, 4, 31, 8}, 0, []int{3, 3, 3, 8, 16}},
		{"1×1×1", graph.Conv3D{Stride: stride1}, graph.Shape{1, 3, 3, 3, 8}, 0, []int{1, 1, 1, 8, 16}},
	} {
		for _, storage := range []graph.DType{graph.F32, graph.F16} {
			t.Run(l.name+" "+storage.String(), func(t *testing.T) {
				d.staged = false
				want := l.run(t, d, storage)
				d.staged = true
				assert.Equal(t, want, l.run(t, d, storage))
				assert.NotZero(t, want)
			})
		}
	}
	staged := 0
	for wgsl := range d.pipelines {
		if strings.Contains(wgsl, "var<workgroup> slab") {
			staged++
		}
	}
	assert.Equal(t, 12, staged, "each layer in each storage has its kernel")
}

// run is y of the layer on random numbers.
func (l layer) run(t *testing.T, d *device, storage graph.DType) []float32 {
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
			values[j] = float32(r.NormFloat64())
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
