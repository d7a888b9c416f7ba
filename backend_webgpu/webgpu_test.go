package webgpu

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
)

// open opens any adapter, also one of software, or skips with the reason.
func open(t testing.TB) backend.Device {
	d, err := Open(Options{Software: true})
	if err != nil {
		t.Skip(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	backendtest.Run(t, open)
}

func TestOpen(t *testing.T) {
	d := open(t)
	t.Log(d.Name(), d.Limits())
	require.NoError(t, d.Close())
}
