package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/core/volume"
)

// Of several scans those that are wrong keep none of the others from its labels, nor these
// from what says how they were made.
func TestOneWrongScanOfSeveralIsNamed(t *testing.T) {
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	write := func(name string, mm float64) {
		t.Helper()
		g := volume.Grid{Shape: [3]int{8, 8, 8}, Spacing: [3]float64{mm, mm, mm}}
		g.Affine = [4][4]float64{{mm}, {0, mm}, {0, 0, mm}, {0, 0, 0, 1}}
		im := volume.NewImage(g, 1)
		for i := range im.Data {
			im.Data[i] = float32(1 + i%7)
		}
		require.NoError(t, nifti.WriteImage(filepath.Join(in, name+".nii"), im, nil))
	}
	write("well", 1)
	write("huge", 1e5) // mm: more voxels than any machine has bytes
	require.NoError(t, os.WriteFile(filepath.Join(in, "none.nii"), []byte("no scan"), 0o666))
	got := gounet(t, "predict", "--model", filepath.Join("..", "..", "testdata", "model", "hippocampus.gounet"), "--input", in, "--output", out, "--no-mirror")
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "2 of 3 cases have no labels")
	assert.Contains(t, got.err, "wanted less than 2³¹ voxels")
	b, err := os.ReadFile(filepath.Join(out, train.SettingsFile))
	require.NoError(t, err)
	var used map[string]any
	require.NoError(t, json.Unmarshal(b, &used))
	assert.Equal(t, map[string]any{"model": used["model"], "input": in, "output": out, "no-mirror": "true"}, used[givenKey])
	_, err = plan.Load(filepath.Join(out, plan.FileName))
	assert.NoError(t, err)
}
