//go:build cuda && linux

package cuda

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/shaders"
)

// compiled is NVRTC, which needs no GPU: `make nvrtc` fetches one.
func compiled(t testing.TB) *nvrtc {
	n, err := openNVRTC()
	if err != nil {
		t.Skip(err)
	}
	return n
}

func TestNVRTCSaysWhatIsWrongInASource(t *testing.T) {
	n := compiled(t)
	code, err := n.image("empty", `extern "C" __global__ void empty(float *x) { x[threadIdx.x] = 1; }`, 80)
	require.NoError(t, err)
	require.NotEmpty(t, code)
	_, err = n.image("wrong", `extern "C" __global__ void wrong(float *x) { y = 1; }`, 80)
	require.ErrorContains(t, err, `wrong.cu(1): error: identifier "y" is undefined`)
	require.NoError(t, n.fits(80))
	require.ErrorContains(t, n.fits(70), "not for compute capability 7.0")
}

// Every kernel of the benchmarks compiles for Turing, Ampere, Hopper and Blackwell, and
// keeps what it computes in registers. Without GOUNET_LONG that is one network an
// architecture.
func TestEveryKernelCompilesWithoutASpill(t *testing.T) {
	n := compiled(t)
	spilled := regexp.MustCompile(`[1-9]\d* bytes spill`)
	for arch, short := range map[int]string{75: "hippocampus", 80: "", 90: "brain", 100: "slices"} {
		for _, storage := range []graph.DType{graph.F32, graph.F16, graph.BF16} {
			for _, b := range benchmarks {
				if os.Getenv("GOUNET_LONG") == "" && (b.name != short || storage != graph.F16) || storage == graph.BF16 && arch < 80 {
					continue
				}
				t.Run(fmt.Sprintf("sm_%d/%v/%s", arch, storage, b.name), func(t *testing.T) {
					t.Parallel()
					for _, l := range b.launches(t, storage, target{Arch: arch, SMs: 100}) {
						source, err := shaders.CUDA(l.Kernel, l.Prelude)
						require.NoError(t, err)
						_, log, err := n.build(l.Kernel, source, append(options(arch), "--ptxas-options=-v"))
						require.NoError(t, err, "%s\n%s", l.Kernel, l.Prelude)
						require.Contains(t, log, "bytes spill", "NVRTC says how many")
						require.NotRegexp(t, spilled, log, "%s\n%s", l.Kernel, l.Prelude)
					}
				})
			}
		}
	}
}
