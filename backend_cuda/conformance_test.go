//go:build linux && amd64

package cuda

import (
	"testing"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
)

// hopper is a GPU of the tests.
var hopper = target{Arch: 90, SMs: 4}

func TestConformance(t *testing.T) {
	backendtest.Run(t, func(t testing.TB) backend.Device { return openEmulated(t, hopper) })
}
