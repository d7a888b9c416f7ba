package unet_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// TestOptimizersAreThoseOfPyTorch takes five steps with fixed gradients. Adan is adan-pytorch's. The
// file stands beside the script that made it.
func TestOptimizersAreThoseOfPyTorch(t *testing.T) {
	b, err := os.ReadFile("testdata/optimizers.json")
	require.NoError(t, err)
	var file struct {
		Weights []float32
		Grads   [][]float32
		Clip    float32
		Cases   map[string]struct {
			LR, Momentum, Eps float32
			Betas             []float32
			Nesterov, Clip    bool
			WeightDecay       float32 `json:"weight_decay"`
			After             [][]float32
		}
	}
	require.NoError(t, json.Unmarshal(b, &file))
	require.Len(t, file.Cases, 16)
	ctx := context.Background()
	for name, c := range file.Cases {
		t.Run(name, func(t *testing.T) {
			op := graph.Step{N: 1, Momentum: c.Momentum, Decay: c.WeightDecay, Nesterov: c.Nesterov, Epsilon: c.Eps}
			if c.Betas != nil {
				op.Beta1, op.Beta2 = c.Betas[0], c.Betas[1]
			}
			if len(c.Betas) == 3 { // adan-pytorch's are 1 − β
				op.Beta1, op.Beta2, op.Beta3 = 1-c.Betas[0], 1-c.Betas[1], 1-c.Betas[2]
			}
			op.Rule = map[string]graph.Rule{"sgd": graph.SGD, "adam": graph.Adam, "adamw": graph.AdamW, "adan": graph.Adan}[strings.Fields(name)[0]]
			var ctl, w, g graph.Value
			gr, err := graph.Build(func(b *graph.Builder) []graph.Value {
				ctl = b.Declare("ctl", graph.IO, graph.F32, graph.CtlRows)
				w = b.Param("w", len(file.Weights))
				g = b.Declare("g", graph.IO, graph.F32, len(file.Weights))
				b.Apply("norm", graph.GradNorm{}, ctl, g)
				in := []graph.Value{ctl, w, g}
				for slot := range op.Rule.Slots() {
					in = append(in, b.State(w, slot))
				}
				b.Apply("step", op, in...)
				return nil
			})
			require.NoError(t, err)
			p, err := compile.Compile(gr, compile.Options{})
			require.NoError(t, err)
			dev := cpu.Open(cpu.Options{})
			defer dev.Close()
			s, err := backend.NewSession(dev, p, nil)
			require.NoError(t, err)
			defer s.Close()
			first := make([]float32, graph.CtlRows)
			first[graph.CtlRate], first[graph.CtlLossScale] = c.LR, 1
			if c.Clip {
				first[graph.CtlClip] = file.Clip
			}
			require.NoError(t, s.WriteF32(ctx, ctl, first))
			require.NoError(t, s.WriteF32(ctx, w, file.Weights))
			got := make([]float32, len(file.Weights))
			for i, grad := range file.Grads {
				require.NoError(t, s.WriteF32(ctx, g, grad))
				require.NoError(t, s.Run(ctx))
				require.NoError(t, s.ReadF32(ctx, w, got))
				for j, want := range c.After[i] {
					// A step has about a dozen roundings of numbers of the size of the weight and of the move.
					bound := 12 * float64(i+1) * math.Pow(2, -24) * (math.Abs(float64(want)) + 1)
					assert.InDelta(t, want, got[j], bound, "step %d, weight %d", i, j)
				}
			}
		})
	}
}
