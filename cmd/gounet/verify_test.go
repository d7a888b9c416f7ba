package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const resenc = "../../core/predict/testdata/resenc"

// TestVerifyTellsAReferenceFromAnother compares with nnU-Net's labels of a scan, and
// with labels of another network.
func TestVerifyTellsAReferenceFromAnother(t *testing.T) {
	cascade := "../../core/predict/testdata/cascade"
	reference := t.TempDir()
	copyFile(t, filepath.Join(resenc, "labels", "scan.nii.gz"), filepath.Join(reference, "scan.nii.gz"))
	copyFile(t, filepath.Join(cascade, "scan_0000.nii.gz"), filepath.Join(reference, "inputs", "scan_0000.nii.gz"))
	model := filepath.Join(resenc, "T__P__3d_fullres")
	got := gounet(t, "verify", reference, model, "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var all []verified
	require.NoError(t, json.Unmarshal([]byte(got.out), &all))
	require.Len(t, all, 1)
	assert.True(t, all[0].Passed)
	assert.Len(t, all[0].Dice, 2)

	// With the probabilities that the same model gave.
	saved := t.TempDir()
	require.Equal(t, exitOK, gounet(t, "predict", "--model", model, "--input", filepath.Join(reference, "inputs"), "--output", saved, "--save-probabilities").code)
	got = gounet(t, "verify", saved, model, "--input", filepath.Join(reference, "inputs"), "--json")
	require.Equal(t, exitOK, got.code, got.err)
	require.NoError(t, json.Unmarshal([]byte(got.out), &all))
	assert.Equal(t, number(0), all[0].Probability)
	assert.Zero(t, all[0].Differ)

	copyFile(t, filepath.Join(resenc, "labels", "scan.nii.gz"), filepath.Join(reference, "other.nii.gz"))
	got = gounet(t, "verify", reference, model)
	assert.Equal(t, exitError, got.code, "labels that are not compared are not verified")
	assert.Contains(t, got.err, "other.nii.gz is of no scan of the input")
	require.NoError(t, os.Remove(filepath.Join(reference, "other.nii.gz")))

	copyFile(t, filepath.Join(cascade, "lowres", "scan.nii.gz"), filepath.Join(reference, "scan.nii.gz"))
	got = gounet(t, "verify", reference, model)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "1 of 1 cases differ from the reference: scan")
	require.NoError(t, os.Remove(filepath.Join(reference, "scan.nii.gz")))
	got = gounet(t, "verify", reference, model)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "scan.nii.gz")
}
