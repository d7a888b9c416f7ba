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

// TestLabelsOfAPreviousStageBecomeChannels moves and mirrors labels and looks at the
// channels: 1 for the label that Warp gives a voxel, 0 for all others, also outside.
func TestLabelsOfAPreviousStageBecomeChannels(t *testing.T) {
	p := &plan.Plan{Labels: []plan.Label{{Values: []int{0}}, {Values: []int{1, 2}}, {Values: []int{2}}}}
	c := &plan.Configuration{Patch: [3]int{2, 3, 4}}
	for _, storage := range []graph.DType{graph.F32, graph.F16} {
		var source, labels, ctl, out, y graph.Value
		var s *Stage
		g, err := graph.Build(func(b *graph.Builder) []graph.Value {
			ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows+graph.WarpLen)
			source = b.Declare("source", graph.IO, graph.F32, 1, 4, 5, 6, 1)
			labels = b.Declare("labels", graph.IO, graph.U8, 1, 4, 5, 6)
			s = newStage(b, labels)
			out = s.channels(b, p, c, graph.CtlRows, source, ctl)
			b.Place(out, graph.IO)
			y = b.Apply("warp", graph.Warp{Patch: c.Patch, Ctl: graph.CtlRows}, source, s.Labels, ctl)[1]
			b.Place(y, graph.IO)
			return []graph.Value{out, y}
		})
		require.NoError(t, err)
		dev := cpu.Open(cpu.Options{})
		prog, err := compile.Compile(g, compile.Options{Storage: storage})
		require.NoError(t, err)
		r, err := backend.NewSession(dev, prog, nil)
		require.NoError(t, err)
		ctx := t.Context()
		values := make([]byte, 4*5*6)
		for i := range values {
			values[i] = []byte{0, 1, 2, 255, 7}[i*i%5]
		}
		row := make([]float32, graph.CtlRows+graph.WarpLen)
		copy(row[graph.CtlRows:], []float32{1, 0, 0, 0, -1, 0.25, 0, -0.25, 1, 0.5, 2, 2.5}) // turned, and beyond the border
		require.NoError(t, r.Write(ctx, s.Labels, values))
		require.NoError(t, r.Write(ctx, s.Zeros, make([]byte, prog.Type(s.Zeros).Bytes())))
		require.NoError(t, r.WriteF32(ctx, s.Pick, Picks(prog.Type(s.Pick).Shape.Elems())))
		require.NoError(t, r.WriteF32(ctx, ctl, row))
		require.NoError(t, r.Run(ctx))
		got, warped := make([]float32, 2*24), make([]byte, 24)
		require.NoError(t, r.ReadFloats(ctx, out, got))
		require.NoError(t, r.Read(ctx, y, warped))
		want := make([]float32, len(got))
		for i, v := range warped {
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
