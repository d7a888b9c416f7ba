package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/train"
)

// short are flags of a training of seconds.
var short = []string{"--epochs", "1", "--iterations", "1", "--val-iterations", "1", "--batch", "2", "--width", "2"}

func TestTrainLeavesAModelThatInfoReads(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	args := append([]string{"train", hippocampus, "3d_fullres", "--work", filepath.Join(dir, "work"), "--output", run, "--fold", "1"}, short...)
	got := gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "trained   1 epochs")

	m, err := checkpoint.Open(run)
	require.NoError(t, err)
	c, err := m.Config()
	require.NoError(t, err)
	assert.Equal(t, []int{2, 4, 8, 16}, c.Network.Features, "--width is in the model's plan")
	log, err := train.ReadLog(run)
	require.NoError(t, err)
	assert.Len(t, log, 1)

	info := gounet(t, "info", run, "--json")
	require.Equal(t, exitOK, info.code, info.err)
	var model modelInfo
	require.NoError(t, json.Unmarshal([]byte(info.out), &model))
	assert.Equal(t, "model", model.Kind)

	again := gounet(t, args...)
	assert.Equal(t, exitError, again.code, "a run is not overwritten")
	assert.Contains(t, again.err, "--resume")
}

func TestTrainNamesWhatIsWrong(t *testing.T) {
	work := t.TempDir()
	for want, args := range map[string][]string{
		`configuration "3d"`:        {"train", hippocampus, "3d", "--work", work},
		"there are 5 folds, 0 to 4": {"train", hippocampus, "3d_fullres", "--work", work, "--fold", "5"},
		`fold "x"`:                  {"train", hippocampus, "3d_fullres", "--work", work, "--fold", "x"},
		`device "gpu"`:              {"train", hippocampus, "3d_fullres", "--work", work, "--device", "gpu"},
		`precision "f8"`:            {"train", hippocampus, "3d_fullres", "--work", work, "--precision", "f8"},
		`processor has kernels for`: {"train", hippocampus, "3d_fullres", "--work", work, "--device", "cpu:neon"},
	} {
		got := gounet(t, args...)
		assert.Equal(t, exitUsage, got.code, got.err)
		assert.Contains(t, got.err, want)
	}
}
