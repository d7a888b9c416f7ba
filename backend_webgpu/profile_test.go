package webgpu

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
)

// The device's clock and the host's agree on a convolution that takes long: what the
// device says lies within what the host has waited for.
func TestAProfileIsWithinTheTimeOfTheHost(t *testing.T) {
	d := opened(t)
	g, _ := layers[0].graph(t)
	p, err := compile.Compile(g, compile.Options{})
	require.NoError(t, err)
	s, err := backend.NewSession(d, p, nil)
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Profile(t.Context()) // compiles, and compares the clocks
	if errors.Is(err, ErrNoTimestamps) {
		t.Skip(err)
	}
	require.NoError(t, err)
	before := time.Now()
	seconds, err := s.Profile(t.Context())
	waited := time.Since(before).Seconds()
	require.NoError(t, err)
	require.Len(t, seconds, 1)
	assert.Positive(t, seconds[0])
	assert.LessOrEqual(t, seconds[0], 1.01*waited, "the rates of the clocks are known to one per cent")
	if d.facts.software {
		assert.GreaterOrEqual(t, seconds[0], waited/2)
	}
}
