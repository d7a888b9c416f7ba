package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckDatasetsAndConvertDatasets(t *testing.T) {
	dir, _ := tinyDataset(t)
	got := gounet(t, "plan", dir, "--check")
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "6 cases, nothing wrong")
	writeJSON(t, filepath.Join(dir, "dataset.json"), map[string]any{
		"channel_names": map[string]string{"0": "MRI"}, "labels": map[string]int{"background": 0, "a": 1, "b": 2, "c": 9}, "numTraining": 6, "file_ending": ".nii.gz",
	})
	got = gounet(t, "plan", dir, "--check")
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "missing between 0 and 9")
	assert.Contains(t, got.err, "label c ([9]) is in no case", "all problems at once")
	fixed := filepath.Join(t.TempDir(), "fixed")
	got = gounet(t, "plan", dir, "--check", "--fix", fixed)
	assert.Contains(t, got.out, "[0 1 2 9] become 0 to 3")
	assert.Contains(t, got.err, "label c ([3]) is in no case", "no case has it, which nothing mends")
	assert.Equal(t, exitUsage, gounet(t, "plan", dir, "--fix", fixed).code)

	msd := filepath.Join(t.TempDir(), "Task77_Tiny")
	got = gounet(t, "convert-dataset", hippocampus, "--to", "nnunetv2", "--output", msd)
	require.Equal(t, exitOK, got.code, got.err)
	got = gounet(t, "plan", msd, "--check")
	assert.Equal(t, exitOK, got.code, got.err)
	assert.Equal(t, exitUsage, gounet(t, "convert-dataset", hippocampus, "--to", "x", "--output", msd+"2").code)
}
