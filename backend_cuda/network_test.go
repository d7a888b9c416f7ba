//go:build cuda && linux

package cuda

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/unet/unettest"
)

// networks is the folder of PyTorch's.
func networks(t *testing.T) string {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: PyTorch's tensors lie there")
	}
	return filepath.Join(dir, "golden", "networks")
}

func TestLogitsEqualThoseOfPyTorch(t *testing.T) {
	unettest.Logits(t, func(t testing.TB) backend.Device { return opened(t) }, networks(t), 1e-4)
}

func TestGradientsAndStepsEqualThoseOfPyTorch(t *testing.T) {
	if os.Getenv("GOUNET_LONG") == "" && os.Getenv(onGPU) == "" {
		t.Skip("GOUNET_LONG is not set: the backward passes need a minute on the CPU")
	}
	unettest.Golden(t, func(t testing.TB) backend.Device { return opened(t) }, networks(t))
}

func TestBlocksAndNormsEqualThoseOfMONAI(t *testing.T) {
	if os.Getenv("GOUNET_LONG") == "" && os.Getenv(onGPU) == "" {
		t.Skip("GOUNET_LONG is not set: the backward passes need a minute on the CPU")
	}
	unettest.Blocks(t, func(t testing.TB) backend.Device { return opened(t) }, filepath.Join("..", "core", "unet", "testdata", "dynunet"))
}
