//go:build linux && amd64

package cuda

import (
	"fmt"
	"os"
	"testing"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
)

// hopper is a GPU of the tests, by the instructions that Ampere has too: so small that
// blocks have more than one thing to do.
var hopper = target{Arch: 90, SMs: 2, Groups: never}

func TestConformance(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(t testing.TB) backend.Device { return openEmulated(t, hopper) })
}

// Hopper's own instructions, for all that they can make, with what a short run leaves out.
func TestConformanceOfGroups(t *testing.T) {
	t.Parallel()
	groups := hopper
	groups.Groups, groups.Fold, groups.SMs = always, always, 8
	only := []string{"f16/Conv3D", "f16/Conv3DGradInput", "f16/Conv3DGradWeight"}
	if os.Getenv("GOUNET_LONG") != "" {
		only = nil
	}
	backendtest.Run(t, func(t testing.TB) backend.Device { return openEmulated(t, groups) }, only...)
}

// Sums over channels that several blocks share, by both kinds of instructions.
func TestConformanceOfSplits(t *testing.T) {
	t.Parallel()
	for name, groups := range map[string]rule{"warps": never, "groups": always} {
		t.Run(name, func(t *testing.T) {
			split := hopper
			split.Groups, split.Split = groups, always
			backendtest.Run(t, func(t testing.TB) backend.Device { return openEmulated(t, split) },
				"f16/Conv3D", "f16/Conv3DGradInput", "f16/UpConv3D", "f16/UpConv3DGradInput")
		})
	}
}

// Every way to cut a product makes it: what is measured to be the fastest may be any.
func TestConformanceOfWays(t *testing.T) {
	t.Parallel()
	ways := []int{2, mostWays - 1}
	if os.Getenv("GOUNET_LONG") != "" {
		ways = []int{1, 2, 3, 4, 5, 6, 7}
	}
	for _, way := range ways {
		t.Run(fmt.Sprint(way), func(t *testing.T) {
			to := target{Arch: 90, SMs: 8, Way: way}
			backendtest.Run(t, func(t testing.TB) backend.Device { return openEmulated(t, to) },
				"f16/Conv3D", "f16/Conv3DGradInput", "f16/Conv3DGradWeight", "f16/UpConv3D", "f16/UpConv3DGradWeight")
		})
	}
}

// The simple kernels, which are those of old GPUs, and the second reference of the others.
func TestSimpleKernels(t *testing.T) {
	if os.Getenv("GOUNET_LONG") == "" {
		t.Skip("takes minutes: GOUNET_LONG=1")
	}
	simple := hopper
	simple.Simple = true
	backendtest.Run(t, func(t testing.TB) backend.Device { return openEmulated(t, simple) })
}

// Turing has tensor cores of halves only. With as many multiprocessors as a GPU has,
// tiles are smaller and parts more.
func TestConformanceOfOtherGPUs(t *testing.T) {
	if os.Getenv("GOUNET_LONG") == "" {
		t.Skip("takes minutes: GOUNET_LONG=1")
	}
	for name, to := range map[string]target{"Turing": {Arch: 75, SMs: 40}, "Ampere": {Arch: 80, SMs: 108}, "Hopper": {Arch: 90, SMs: 132}} {
		t.Run(name, func(t *testing.T) {
			backendtest.Run(t, func(t testing.TB) backend.Device { return openEmulated(t, to) })
		})
	}
}
