//go:build linux && amd64

package cuda

import (
	"fmt"
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
	"github.com/gounet/gounet/shaders"
)

// normed is a convolution with a norm behind it.
type normed struct{ x, w, y, z, stats graph.Value }

// program of x [n size c] → co channels.
func (v *normed) program(t *testing.T, storage graph.DType, n int, size, kernel, stride [3]int, c, co int) *compile.Program {
	g, err := graph.Build(func(b *graph.Builder) []graph.Value {
		v.x = b.Declare("x", graph.IO, graph.T, n, size[0], size[1], size[2], c)
		v.w = b.Param("w", kernel[0], kernel[1], kernel[2], c, co)
		v.y = b.Apply("conv", graph.Conv3D{Stride: stride}, v.x, v.w, 0)[0]
		out := b.Apply("norm", graph.NormAct{Eps: 1e-5, Slope: 0.01}, v.y, b.Param("gamma", co), b.Param("beta", co))
		v.z, v.stats = out[0], out[1]
		return []graph.Value{v.y, v.z, v.stats}
	})
	require.NoError(t, err)
	p, err := compile.Compile(g, compile.Options{Storage: storage})
	require.NoError(t, err)
	return p
}

// check compares the statistics of a run with those of its y.
func (v *normed) check(t *testing.T, session *backend.Session, samples, channels int) (y []float32) {
	y = make([]float32, session.Program.Type(v.y).Shape.Elems())
	require.NoError(t, session.ReadFloats(t.Context(), v.y, y))
	stats := make([]float32, 2*samples*channels)
	require.NoError(t, session.ReadF32(t.Context(), v.stats, stats))
	voxels := len(y) / (samples * channels)
	for n := range samples {
		for c := range channels {
			at := func(j int) float64 { return float64(y[(n*voxels+j)*channels+c]) }
			var sum, size, squares float64
			for j := range voxels {
				sum += at(j)
				size += math.Abs(at(j))
			}
			mean := sum / float64(voxels)
			for j := range voxels {
				squares += (at(j) - mean) * (at(j) - mean)
			}
			rstd := 1 / math.Sqrt(squares/float64(voxels)+1e-5)
			// Rounding errors of a sum, as backendtest bounds them; those of squares are
			// twice as large, of a root half of that.
			unit := 0x1p-24 * (4 + 2*math.Sqrt(float64(voxels)))
			got := stats[2*(n*channels+c):]
			require.InDelta(t, mean, got[0], unit*size/float64(voxels))
			require.InDelta(t, rstd, got[1], unit*2*rstd*(1+math.Abs(mean)*rstd))
		}
	}
	return y
}

// A convolution that leaves moments of its tiles for the norm behind it leaves those
// of its result, whatever the sizes of grid and tile are.
func TestMomentsOfTilesAreThoseOfTheResult(t *testing.T) {
	t.Parallel()
	for i, s := range []struct {
		n                    int
		size, kernel, stride [3]int
		c, co                int
		groups               rule
	}{
		{1, k(5, 7, 9), k(3, 3, 3), k(1, 1, 1), 8, 40, never},
		{2, k(1, 11, 13), k(1, 3, 3), k(1, 1, 1), 4, 16, never},
		{2, k(9, 6, 7), k(3, 3, 3), k(2, 2, 2), 16, 33, never},
		{1, k(3, 3, 3), k(3, 3, 3), k(1, 1, 1), 40, 72, never},
		{2, k(5, 5, 9), k(1, 1, 1), k(1, 1, 1), 32, 64, never},
		{1, k(5, 7, 9), k(3, 3, 3), k(1, 1, 1), 8, 40, always},
		{1, k(3, 3, 3), k(3, 3, 3), k(1, 1, 1), 40, 72, always},
		{2, k(1, 23, 20), k(1, 3, 3), k(1, 1, 1), 8, 33, always},
	} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			hopper := hopper
			hopper.Groups = s.groups
			var v normed
			p := v.program(t, graph.F16, s.n, s.size, s.kernel, s.stride, s.c, s.co)
			ls, err := launchesOf(p, hopper)
			require.NoError(t, err)
			require.False(t, slices.ContainsFunc(ls.List, func(l launch) bool { return strings.HasPrefix(l.Kernel, "moments") && l.Kernel != "moments_fold" }))

			session, err := backend.NewSession(openEmulated(t, hopper), p, nil)
			require.NoError(t, err)
			defer session.Close()
			r := rand.New(rand.NewPCG(uint64(i), 1))
			random := func(n int) []float32 {
				f := make([]float32, n)
				for j := range f {
					f[j] = float32(r.NormFloat64())
				}
				return f
			}
			ctx := t.Context()
			for j, info := range p.Values {
				if info.Region == graph.Weights {
					require.NoError(t, session.WriteWeight(ctx, graph.Value(j+1), random(info.Type.Shape.Elems())))
				}
			}
			x := make([]byte, p.Type(v.x).Bytes())
			for j := range len(x) / 2 {
				x[2*j+1] = byte(0x38 + r.IntN(12)) // between ½ and 1024
			}
			require.NoError(t, session.Write(ctx, v.x, x))
			var first []float32
			for i := range 6 { // orders of warps
				require.NoError(t, session.Run(ctx))
				y := v.check(t, session, s.n, s.co)
				if i == 0 {
					first = y
				}
				require.True(t, slices.Equal(first, y), "run %d makes another result than the first", i)
			}
		})
	}
}

// Kernels and Go know of each other: each kernel is used by some op, and comes with
// the name of its entry.
func TestEveryKernelHasItsEntry(t *testing.T) {
	for _, name := range shaders.CUDANames() {
		source, err := shaders.CUDA(name, "")
		require.NoError(t, err)
		assert.Regexp(t, `(?m)^KERNEL (__launch_bounds__\(.*\) )?`+name+`\(`, source)
	}
}

// A GPU that lacks a type of tensor cores has the simple kernels of it.
func TestTuringHasNoMatricesOfBF16(t *testing.T) {
	var v normed
	p := v.program(t, graph.BF16, 1, k(4, 4, 4), k(3, 3, 3), k(1, 1, 1), 32, 32)
	for arch, want := range map[int]string{75: "conv3d", 80: "conv3d_mma"} {
		ls, err := launchesOf(p, target{Arch: arch, SMs: 40})
		require.NoError(t, err)
		assert.Equal(t, want, ls.List[0].Kernel)
	}
}

// Layers of few voxels and many channels fill the device: several blocks share their sums.
func TestSmallLayersAreSplit(t *testing.T) {
	for _, arch := range []int{80, 90} {
		blocks := map[bool]int{} // the fewest of a convolution of 320 channels, by whether it may be split
		for _, split := range []rule{whenFaster, never} {
			fewest, folds := math.MaxInt, 0
			for _, l := range realLaunches(t, realPlans()["128³"], graph.F16, target{Arch: arch, SMs: 132, Split: split}) {
				switch {
				case l.Kernel == "conv3d_fold":
					folds++
				case strings.Contains(l.Prelude, " CO = 320u;") && strings.Contains(l.Prelude, " C1 = 320u;") && strings.HasSuffix(l.Kernel, "mma"):
					fewest = min(fewest, int(l.Grid[0]*l.Grid[1]*l.Grid[2]))
				}
			}
			blocks[split != never] = fewest
			assert.Equal(t, split != never, folds > 0)
		}
		assert.Less(t, blocks[false], 132/4)
		assert.GreaterOrEqual(t, blocks[true], 132/2)
	}
}

// As many blocks share a multiprocessor as its registers have room for, as NVRTC reckons
// with them: in four files, each for a quarter of the warps.
func TestBlocksHaveTheRegistersThatTheyNeed(t *testing.T) {
	for warps, registers := range map[int]int{8: 256, 12: 168, 13: 128, 14: 128, 16: 128, 18: 96, 20: 96} { // those that it says are used at most
		assert.Equal(t, registers, registersOf(warps), "%d warps", warps)
	}
	for _, c := range []struct{ warps, registers, blocks int }{
		{2, 144, 6}, // a seventh would leave 128
		{2, 128, 8}, {4, 128, 4}, {4, 129, 3}, {3, 168, 4}, {3, 176, 2}, {18, 120, 1}, {2, 16, 8},
	} {
		assert.Equal(t, c.blocks, residentOf(c.warps, c.registers), "%d warps, %d registers", c.warps, c.registers)
	}
}
