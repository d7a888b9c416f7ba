//go:build linux && amd64

package cuda

import (
	"os"
	"testing"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
)

// hopper is a GPU of the tests: so small that blocks have more than one thing to do.
var hopper = target{Arch: 90, SMs: 2}

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t testing.TB) backend.Device { return openEmulated(t, hopper) })
}

// The simple kernels, which the others are compared with where they differ on a GPU.
func TestSimpleKernels(t *testing.T) {
	if os.Getenv("GOUNET_LONG") == "" {
		t.Skip("takes minutes: GOUNET_LONG=1")
	}
	simple := hopper
	simple.Simple = true
	backendtest.Run(t, func(t testing.TB) backend.Device { return openEmulated(t, simple) })
}

// With as many multiprocessors as a GPU has, tiles are smaller and parts more.
func TestConformanceOfAWholeGPU(t *testing.T) {
	if os.Getenv("GOUNET_LONG") == "" {
		t.Skip("takes minutes: GOUNET_LONG=1")
	}
	backendtest.Run(t, func(t testing.TB) backend.Device { return openEmulated(t, target{Arch: 90, SMs: 132}) })
}
