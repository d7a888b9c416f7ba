package webgpu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gounet/gounet/core/unet/unettest"
)

// golden is the folder of PyTorch's networks.
func golden(t *testing.T) string {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: PyTorch's tensors lie there")
	}
	return filepath.Join(dir, "golden", "networks")
}

func TestLogitsEqualThoseOfPyTorch(t *testing.T) {
	unettest.Logits(t, open, golden(t), 1e-4)
}

func TestGradientsAndStepsEqualThoseOfPyTorch(t *testing.T) {
	if os.Getenv("GOUNET_LONG") == "" {
		t.Skip("GOUNET_LONG is not set: a software adapter needs minutes to compile the backward passes")
	}
	unettest.Golden(t, open, golden(t))
}

func TestBlocksAndNormsEqualThoseOfMONAI(t *testing.T) {
	if os.Getenv("GOUNET_LONG") == "" {
		t.Skip("GOUNET_LONG is not set: a software adapter needs minutes to compile the backward passes")
	}
	unettest.Blocks(t, open, filepath.Join("..", "core", "unet", "testdata", "dynunet"))
}
