package unettest

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/unet"
)

// Logits runs all networks forward in f32: what Golden begins with, for devices that
// take long to compile a backward pass. No logit may differ from PyTorch's by more
// than bound.
func Logits(t *testing.T, open func(t testing.TB) backend.Device, dir string, bound float64) {
	for _, name := range Cases {
		t.Run(name, func(t *testing.T) {
			dev := open(t)
			defer func() { assert.NoError(t, dev.Close()) }()
			g := load(t, filepath.Join(dir, name))
			_, c := g.plan("ce_sample")
			var x graph.Value
			var logits, params []graph.Value
			gr, err := graph.Build(func(b *graph.Builder) []graph.Value {
				x = b.Declare("input", graph.IO, graph.T, c.Batch, c.Patch[0], c.Patch[1], c.Patch[2], g.InChannels)
				logits, params = unet.Forward(b, c.Network, x, g.OutChannels, len(g.Weights))
				for _, z := range logits {
					b.Place(z, graph.IO)
				}
				return logits
			})
			require.NoError(t, err)
			s := g.session(t, dev, gr, compile.Options{}, params)
			defer s.Close()
			require.NoError(t, s.WriteF32(t.Context(), x, channelsLast(g.io["input"])))
			require.NoError(t, s.Run(t.Context()))
			for i, z := range logits {
				want := channelsLast(g.io[fmt.Sprintf("output.%d", i)])
				diff := maxDiff(g.read(t, s, z), want)
				t.Logf("output %d: %.2g of %.3g", i, diff, maxAbs(want))
				assert.LessOrEqual(t, diff, bound, "output %d", i)
			}
		})
	}
}
