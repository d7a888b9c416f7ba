package unet_test

import (
	"os"
	"path/filepath"
	"testing"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/unet/unettest"
)

func TestNetworksEqualThoseOfPyTorch(t *testing.T) {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: PyTorch's tensors lie there")
	}
	for _, isa := range []string{"", "go"} {
		t.Run("isa "+isa, func(t *testing.T) {
			unettest.Golden(t, func(testing.TB) backend.Device { return cpu.Open(cpu.Options{ISA: isa}) }, filepath.Join(dir, "golden", "networks"))
		})
	}
}

func TestDynUNetIsThatOfMONAI(t *testing.T) {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: the tensors of MONAI's networks lie there")
	}
	unettest.DynUNet(t, func(testing.TB) backend.Device { return cpu.Open(cpu.Options{}) }, filepath.Join(dir, "golden", "networks"))
}

func TestBlocksAndNormsAreThoseOfMONAI(t *testing.T) {
	unettest.Blocks(t, func(testing.TB) backend.Device { return cpu.Open(cpu.Options{}) }, "testdata/dynunet")
}
