package cpu

import (
	"testing"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
)

func TestConformance(t *testing.T) {
	for _, name := range ISAs() {
		t.Run(name, func(t *testing.T) {
			backendtest.Run(t, func(testing.TB) backend.Device { return Open(Options{Workers: 3, ISA: name}) })
		})
	}
}
