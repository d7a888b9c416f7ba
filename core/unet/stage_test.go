package unet

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// TestLabelsOfAPreviousStageBecomeChannels looks at the channels: 1 for the label of a
// voxel, 0 for all others, also outside.
func TestLabelsOfAPreviousStageBecomeChannels(t *testing.T) {
	p := &plan.Plan{Labels: []plan.Label{{Values: []int{0}}, {Values: []int{1, 2}}, {Values: []int{2}}}}
	c := &plan.Configuration{Patch: [3]int{2, 3, 4}}
	for _, storage := range []graph.DType{graph.F32, graph.F16} {
		var out graph.Value
		var s *Stage
		g, err := graph.Build(func(b *graph.Builder) []graph.Value {
			s, out = newStage(b, p, c, 2)
			b.Place(out, graph.IO)
			return []graph.Value{out}
		})
		require.NoError(t, err)
		dev := cpu.Open(cpu.Options{})
		prog, err := compile.Compile(g, compile.Options{Storage: storage})
		require.NoError(t, err)
		r, err := backend.NewSession(dev, prog, nil)
		require.NoError(t, err)
		ctx := t.Context()
		values := make([]byte, 2*24)
		for i := range values {
			values[i] = []byte{0, 1, 2, 255, 7}[i*i%5]
		}
		require.NoError(t, r.Write(ctx, s.Labels, values))
		require.NoError(t, r.Write(ctx, s.Zeros, make([]byte, prog.Type(s.Zeros).Bytes())))
		require.NoError(t, r.WriteF32(ctx, s.Pick, Picks(prog.Type(s.Pick).Shape.Elems())))
		require.NoError(t, r.Run(ctx))
		got := make([]float32, 2*len(values))
		require.NoError(t, r.ReadFloats(ctx, out, got))
		want := make([]float32, len(got))
		for i, v := range values {
			if v == 1 || v == 2 {
				want[2*i+int(v)-1] = 1
			}
		}
		assert.Contains(t, want, float32(1))
		assert.Equal(t, want, got, storage.String())
		r.Close()
		require.NoError(t, dev.Close())
	}
}
