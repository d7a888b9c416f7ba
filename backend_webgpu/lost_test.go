package webgpu

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// Whatever is called after a loss is an error that says so; the process lives, and
// another device can be opened.
func TestALostDeviceIsAnErrorOfEveryCall(t *testing.T) {
	d := open(t).(*device)
	p, x, _ := adder(t, graph.F32)
	s, err := backend.NewSession(d, p, nil)
	require.NoError(t, err)
	require.NoError(t, s.Run(t.Context()))
	lose(d)
	read := func() error { return s.Read(t.Context(), x, make([]byte, 2048)) }
	// A run is handed over; what becomes of it is told by the next call at the latest.
	err = s.Run(t.Context())
	if err == nil {
		err = read()
	}
	require.ErrorIs(t, err, backend.ErrLost)
	require.ErrorContains(t, err, "twice", "with the name of the node")
	for name, call := range map[string]func() error{
		"Run":       func() error { return s.Run(t.Context()) },
		"Read":      read,
		"Write":     func() error { return s.Write(t.Context(), x, make([]byte, 2048)) },
		"NewBuffer": func() error { _, err := d.NewBuffer(1024); return err },
		"Compile":   func() error { _, err := backend.NewSession(d, p, nil); return err },
	} {
		for range 3 {
			assert.ErrorIs(t, call(), backend.ErrLost, name)
		}
	}
	s.Close()
	require.NoError(t, d.Close())

	again := opened(t)
	s, err = backend.NewSession(again, p, nil)
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Run(t.Context()))
}
