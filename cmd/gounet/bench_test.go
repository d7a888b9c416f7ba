package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
)

func TestBenchRunsEveryOpAndAStep(t *testing.T) {
	small := []string{"--patch", "8,8,8", "--stages", "2", "--width", "2", "--seconds", "0.001", "--json"}
	got := gounet(t, append([]string{"bench", "ops", "--large=false"}, small...)...)
	require.Equal(t, exitOK, got.code, got.err)
	var ops struct{ Rows []opRow }
	require.NoError(t, json.Unmarshal([]byte(got.out), &ops))
	seen := map[string]bool{}
	for _, r := range ops.Rows {
		seen[r.Op] = true
	}
	for _, op := range []string{"Conv3D", "Conv3DGradInput", "Conv3DGradWeight", "UpConv3D", "NormAct", "NormActGrad", "SegSums", "SegGrad", "SegLoss", "TileLoad", "TileBlend"} {
		assert.True(t, seen[op], op)
	}

	got = gounet(t, append([]string{"bench", "train"}, small...)...)
	require.Equal(t, exitOK, got.code, got.err)
	var step stepResult
	require.NoError(t, json.Unmarshal([]byte(got.out), &step))
	assert.Positive(t, step.GFLOP)
	assert.NotEmpty(t, step.Ops)

	got = gounet(t, append([]string{"bench", "predict", "--volume", "12,12,12", "--tta"}, small...)...)
	require.Equal(t, exitOK, got.code, got.err)
	var scan predictResult
	require.NoError(t, json.Unmarshal([]byte(got.out), &scan))
	assert.Equal(t, 8*8, scan.Tiles, "two tiles an axis, eight mirrorings")
	assert.Positive(t, scan.GFLOP)
}

func TestBenchNetworkIsTheHippocampusPlan(t *testing.T) {
	f := benchFlags{patch: []int{40, 56, 40}, batch: 2, width: 32, stages: 4, channels: 1, classes: 3}
	_, c, err := f.network()
	require.NoError(t, err)
	work := t.TempDir()
	require.Equal(t, exitOK, gounet(t, "plan", hippocampus, "--work", work, "--quiet").code)
	p, err := plan.Load(filepath.Join(work, plan.FileName))
	require.NoError(t, err)
	want := p.Configuration("3d_fullres")
	assert.Equal(t, want.Network, c.Network)
	assert.Equal(t, want.Patch, c.Patch)
	assert.Equal(t, want.Batch, c.Batch)
}
