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

func TestBenchMeasuresStepsAndTilesOfWebGPU(t *testing.T) {
	if testing.Short() {
		t.Skip("a software adapter compiles the kernels of two programs")
	}
	dev, err := webgpu.Open(webgpu.Options{Software: true})
	if err != nil {
		t.Skip(err)
	}
	require.NoError(t, dev.Close())
	var step stepResult
	benchJSON(t, &step, smallBench("train", "--steps", "1", "--device", "webgpu:software"))
	var scan scanResult
	benchJSON(t, &scan, smallBench("predict", "--volume", "8", "--device", "webgpu:software"))
	require.Len(t, step.Rows, 1)
	require.Len(t, scan.Rows, 2)
	for _, r := range []machineReport{step.machineReport, scan.machineReport} {
		assert.Equal(t, dev.Name(), r.Device)
		assert.Equal(t, hostClock, r.Clock)
	}
	for _, r := range [][]nodeTime{step.Rows[0].Ops, scan.Rows[1].Ops} {
		for _, op := range r { // nothing of an adapter without timestamps
			assert.Positive(t, op.Count, op.Op)
		}
	}
	assert.Positive(t, step.Rows[0].Best)
	assert.Positive(t, scan.Rows[0].Best)
	assert.Positive(t, scan.Rows[1].Best)
}

func TestBenchNamesItsDevices(t *testing.T) {
	for what, device := range map[string]string{"ops": "webgpu:cheap", "train": "auto"} {
		got := gounet(t, smallBench(what, "--device", device)...)
		assert.Equal(t, exitUsage, got.code, device)
		assert.Contains(t, got.err, "webgpu or webgpu:software", device)
	}
}
