//go:build !js

package webgpu

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// manifest is how the loader of Vulkan finds testdata/lost_layer.c.
const manifest = `{"file_format_version": "1.0.0", "layer": {"name": "VK_LAYER_GOUNET_lost", "type": "GLOBAL",
	"library_path": "./liblost_layer.so", "api_version": "1.3.0", "implementation_version": "1", "description": "takes the GPU away"}}`

// ways are the calls of a driver that tell first that its GPU is gone.
var ways = []string{"submit", "wait"}

// losable has devices that are opened from now on stand on a driver that can lose
// them.
func losable(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the layer that takes a GPU away is for the loader of Linux")
	}
	dir := t.TempDir()
	build := exec.Command("cc", "-shared", "-fPIC", "-o", filepath.Join(dir, "liblost_layer.so"), filepath.Join("testdata", "lost_layer.c"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("no C compiler for the layer that takes a GPU away: %v: %s", err, out)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lost_layer.json"), []byte(manifest), 0o600))
	t.Setenv("VK_LAYER_PATH", dir)
	t.Setenv("VK_INSTANCE_LAYERS", "VK_LAYER_GOUNET_lost")
}

// lose takes the GPU away, as a driver does that resets it, and return gives a new
// one.
func lose(t *testing.T, _ *device, way string) (restore func()) {
	t.Setenv("GOUNET_GPU_LOST", way)
	return func() { require.NoError(t, os.Unsetenv("GOUNET_GPU_LOST")) }
}
