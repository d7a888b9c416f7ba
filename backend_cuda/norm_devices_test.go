//go:build linux && amd64

package cuda

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// A convolution leaves moments of its tiles also for a norm over several devices: its row
// has those of the stored result, within the rounding of a sum over its voxels.
func TestMomentsOfTilesAreThoseOfADevicesRow(t *testing.T) {
	const samples, world, rank, co = 2, 3, 1, 40
	for name, groups := range map[string]rule{"warps": never, "groups": always} {
		var x, y, parts graph.Value
		g, err := graph.Build(func(b *graph.Builder) []graph.Value {
			x = b.Declare("x", graph.IO, graph.T, samples, 5, 7, 9, 8)
			y = b.Apply("conv", graph.Conv3D{Stride: k(1, 1, 1)}, x, b.Param("w", 3, 3, 3, 8, co), 0)[0]
			parts = b.Apply("moments", graph.Moments{World: world, Rank: rank}, y)[0]
			return []graph.Value{y, parts}
		})
		require.NoError(t, err)
		p, err := compile.Compile(g, compile.Options{Storage: graph.F16})
		require.NoError(t, err)
		hopper := hopper
		hopper.Groups = groups
		ls, err := launchesOf(p, hopper)
		require.NoError(t, err)
		require.False(t, slices.ContainsFunc(ls.List, func(l launch) bool { return l.Kernel == "moments" || strings.HasPrefix(l.Kernel, "moments_b") }))

		s, err := backend.NewSession(openEmulated(t, hopper), p, nil)
		require.NoError(t, err)
		r := rand.New(rand.NewPCG(5, 1))
		for _, v := range []graph.Value{x, p.Params()[0]} {
			f := make([]float32, p.Type(v).Shape.Elems())
			for i := range f {
				f[i] = float32(1 + r.NormFloat64())
			}
			if v == x {
				require.NoError(t, s.WriteFloats(t.Context(), v, f))
			} else {
				require.NoError(t, s.WriteWeight(t.Context(), v, f))
			}
		}
		require.NoError(t, s.Run(t.Context()))
		made, row := make([]float32, p.Type(y).Shape.Elems()), make([]float32, world*co*2)
		require.NoError(t, s.ReadFloats(t.Context(), y, made))
		require.NoError(t, s.ReadF32(t.Context(), parts, row))
		s.Close()
		voxels := float64(len(made) / co)
		unit := 0x1p-24 * (4 + 2*math.Sqrt(voxels))
		for c := range co {
			var sum, size, squares float64
			for i := c; i < len(made); i += co {
				sum += float64(made[i])
				size += math.Abs(float64(made[i]))
			}
			mean := sum / voxels
			for i := c; i < len(made); i += co {
				squares += (float64(made[i]) - mean) * (float64(made[i]) - mean)
			}
			got := row[2*(rank*co+c):]
			assert.InDelta(t, mean, got[0], unit*size/voxels, name)
			assert.InDelta(t, squares/voxels, got[1], 2*unit*squares/voxels, name)
			for _, other := range []int{0, 2} {
				assert.Equal(t, []float32{0, 0}, row[2*(other*co+c):][:2], name)
			}
		}
	}
}
