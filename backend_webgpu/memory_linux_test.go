package webgpu

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// A process that may take another gigabyte gets an error of a line where the driver has
// no more, and the device lives. A real GPU has memory of its own: it is not filled.
func TestNoMemoryIsAnErrorAndTheDeviceLives(t *testing.T) {
	const child = "GOUNET_TEST_MEMORY"
	if os.Getenv(child) == "" {
		if f := opened(t).facts; !f.software {
			t.Skip("this machine has a real GPU: " + f.name)
		}
		c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
		c.Env = append(os.Environ(), child+"=1")
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
		return
	}
	d := opened(t)
	var pages int64
	statm, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	_, err = fmt.Sscan(string(statm), &pages)
	require.NoError(t, err)
	most := uint64(pages*int64(os.Getpagesize())) + 1<<30
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: most, Max: most}))
	kept, err := d.NewBuffer(256 << 20)
	require.NoError(t, err)
	_, err = d.NewBuffer(1 << 30)
	require.ErrorIs(t, err, backend.ErrMemory)
	require.ErrorContains(t, err, "a buffer of 1073741824 bytes: ")
	require.ErrorContains(t, err, "memory left.: choose a smaller patch")
	assert.NotContains(t, err.Error(), "\n")
	kept.Free()
	p, x, _ := adder(t, graph.F32)
	s, err := backend.NewSession(d, p, nil)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Run(t.Context()))
	require.NoError(t, s.Read(t.Context(), x, make([]byte, 4)))
}
