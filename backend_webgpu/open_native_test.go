//go:build !js

package webgpu

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where nobody has set up a display, as on a server, opening an adapter writes nothing
// to standard error. A process of its own shows what the drivers write.
func TestOpeningIsQuietWithoutADisplay(t *testing.T) {
	const child = "GOUNET_TEST_OPENS"
	if os.Getenv(child) != "" {
		if d, err := Open(Options{Software: true}); err == nil {
			require.NoError(t, d.Close())
		}
		assert.Empty(t, os.Getenv("XDG_RUNTIME_DIR"), "what is started from here has no such folder either")
		return
	}
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	c.Env = append(slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, "XDG_RUNTIME_DIR=") || strings.HasPrefix(s, "DISPLAY=") || strings.HasPrefix(s, "WAYLAND_DISPLAY=")
	}), child+"=1")
	var said bytes.Buffer
	c.Stderr = &said
	require.NoError(t, c.Run())
	assert.Empty(t, said.String())
}
