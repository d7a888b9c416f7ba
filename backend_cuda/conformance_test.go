//go:build linux && amd64

package cuda

import (
	"testing"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
)

// hopper is a GPU of the tests: so small that blocks have more than one thing to do.
var hopper = target{Arch: 90, SMs: 2}

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t testing.TB) backend.Device { return openEmulated(t, hopper) })
}
