package main

import (
	"encoding/json"
	"os"
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

// The planner chooses batches by numTraining, and run labels the test scans when all
// trainings are done: what is wrong with either is said before.
func TestNumbersAndTestScansAreChecked(t *testing.T) {
	dir := copied(t, "data")
	file := filepath.Join(dir, "dataset.json")
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var top map[string]any
	require.NoError(t, json.Unmarshal(b, &top))
	copyFile(t, filepath.Join(dir, "imagesTr", "hippocampus_003.nii.gz"), filepath.Join(dir, "imagesTs", "here.nii.gz"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "imagesTs", "cut.nii.gz"), []byte("no scan"), 0o666))
	top["test"] = []string{"./imagesTs/here.nii.gz", "./imagesTs/gone.nii.gz", "./imagesTs/cut.nii.gz"}
	writeJSON(t, file, top)
	got := gounet(t, "plan", dir, "--work", filepath.Join(t.TempDir(), "work"))
	assert.Equal(t, exitOK, got.code, "it can be trained: %s", got.err)
	assert.Contains(t, got.err, "test scan gone: "+filepath.Join("imagesTs", "gone.nii.gz")+" is missing; test scan cut: ")
	assert.NotContains(t, got.err, "here")
	top["numTraining"] = 60
	writeJSON(t, file, top)
	got = gounet(t, "plan", dir, "--check")
	assert.Equal(t, exitError, got.code)
	for _, want := range []string{"3 problems", "numTraining is 60", "test scan gone: ", "test scan cut: "} {
		assert.Contains(t, got.err, want)
	}
	got = gounet(t, "plan", dir, "--work", filepath.Join(t.TempDir(), "work"))
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "numTraining is 60")
	got = gounet(t, "plan", dir, "--check", "--fix", filepath.Join(t.TempDir(), "mended"))
	assert.Contains(t, got.out, "mended    dataset.json: numTraining 60 becomes 40")
	assert.NotContains(t, got.err, "numTraining")
}
