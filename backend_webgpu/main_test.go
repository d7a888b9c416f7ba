package webgpu

import (
	"os"
	"testing"
)

// A software adapter compiles a kernel for every shape of every case. Without the
// passes that optimise, lavapipe takes half the time; the long tests have them.
func TestMain(m *testing.M) {
	if os.Getenv("GOUNET_LONG") == "" && os.Getenv("GALLIVM_PERF") == "" {
		os.Setenv("GALLIVM_PERF", "nopt")
	}
	os.Exit(m.Run())
}
