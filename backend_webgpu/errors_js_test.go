//go:build js

package webgpu

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
)

func TestNoMemoryIsAnErrorAndTheDeviceLives(t *testing.T) {
	d := opened(t)
	var list []backend.Buffer
	var err error
	for range 64 { // of up to a gigabyte: more than a browser gives
		var b backend.Buffer
		if b, err = d.NewBuffer(d.facts.bufferBytes / 4 * 4); err != nil {
			break
		}
		list = append(list, b)
	}
	for _, b := range list {
		b.Free()
	}
	require.Error(t, err)
	assert.ErrorContains(t, err, "bytes")
	if errors.Is(err, backend.ErrLost) {
		return // some browsers give up the device
	}
	require.ErrorIs(t, err, backend.ErrMemory)
	b, err := d.NewBuffer(1 << 20)
	require.NoError(t, err)
	b.Free()
}

func TestWhatABrowserLacksIsAnError(t *testing.T) {
	d := opened(t)
	g := d.gpu.(*browser)
	queue := g.queue
	defer func() { g.queue = queue }()
	g.queue = g.device // which has no writeBuffer
	b, err := d.NewBuffer(4)
	require.NoError(t, err)
	require.ErrorContains(t, b.Write(t.Context(), 0, make([]byte, 4)), "lacks something")
}
