package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	webgpu "github.com/gounet/gounet/backend_webgpu"
)

func TestBenchOpsMeasuresWebGPU(t *testing.T) {
	dev, err := webgpu.Open(webgpu.Options{Software: true})
	if err != nil {
		t.Skip(err)
	}
	require.NoError(t, dev.Close())
	var ops opsResult
	benchJSON(t, &ops, smallBench("ops", "--large=false", "--device", "webgpu:software", "--filter", "^(Conv3D 1→2|NormAct) "))
	require.Len(t, ops.Rows, 4)
	assert.Equal(t, dev.Name(), ops.Device)
	assert.Contains(t, []string{ownClock, hostClock}, ops.Clock)
	for _, r := range ops.Rows {
		assert.Positive(t, r.Best, r.Op)
		assert.Positive(t, r.GBps, r.Op)
	}
}

func TestBenchNamesItsDevices(t *testing.T) {
	got := gounet(t, smallBench("ops", "--device", "webgpu:cheap")...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "webgpu or webgpu:software")
	got = gounet(t, smallBench("train", "--device", "webgpu")...)
	assert.Equal(t, exitUsage, got.code, "a training is measured on the CPU")
	assert.Contains(t, got.err, "wanted cpu")
}
