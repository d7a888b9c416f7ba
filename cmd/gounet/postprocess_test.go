package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/volume"
)

// speckled writes a reference with two neighbouring blocks, and a prediction that has
// them and specks far from them.
func speckled(t *testing.T) (references, predictions string, want *volume.Labels) {
	t.Helper()
	references, predictions = filepath.Join(t.TempDir(), "labelsTr"), filepath.Join(t.TempDir(), "predicted")
	g := volume.Grid{Shape: [3]int{6, 8, 10}, Spacing: [3]float64{1, 1, 1}, Affine: [4][4]float64{{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}}}
	for _, id := range []string{"a", "b"} {
		want = volume.NewLabels(g)
		for z := range 3 {
			for x := range 6 {
				want.Data[(z*8+2)*10+x] = uint8(1 + x/3)
			}
		}
		got := volume.NewLabels(g)
		copy(got.Data, want.Data)
		got.Data[len(got.Data)-1], got.Data[len(got.Data)-5] = 1, 2
		for dir, l := range map[string]*volume.Labels{references: want, predictions: got} {
			require.NoError(t, os.MkdirAll(dir, 0o777))
			require.NoError(t, nifti.WriteLabels(filepath.Join(dir, id+".nii.gz"), l, nil))
		}
	}
	return references, predictions, want
}

func TestPostprocessingIsDecidedAndDoneOnFolders(t *testing.T) {
	references, predictions, want := speckled(t)
	out := filepath.Join(t.TempDir(), "out")
	got := gounet(t, "postprocess", predictions, "--references", references)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "the largest component of (1, 2): Dice 1.0000, before 0.9")
	assert.FileExists(t, filepath.Join(predictions, pickledFile))
	post, err := metric.ReadPostprocessing(filepath.Join(predictions, postprocessingFile))
	require.NoError(t, err)
	assert.Equal(t, metric.Postprocessing{{1, 2}}, post)

	got = gounet(t, "postprocess", predictions, "--output", out)
	require.Equal(t, exitOK, got.code, got.err)
	for _, id := range []string{"a", "b"} {
		l, _, err := nifti.ReadLabels(filepath.Join(out, id+".nii.gz"))
		require.NoError(t, err)
		assert.Equal(t, want.Data, l.Data)
	}
	for _, args := range [][]string{{}, {"--output", predictions}} {
		got = gounet(t, append([]string{"postprocess", predictions}, args...)...)
		assert.Equal(t, exitUsage, got.code, got.err)
	}
	require.NoError(t, os.Remove(filepath.Join(references, "b.nii.gz")))
	got = gounet(t, "postprocess", predictions, "--references", references)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "b.nii.gz has no reference")
}

// TestPostprocessedFoldersAreThoseOfNNUNet compares with nnUNetv2_apply_postprocessing.
func TestPostprocessedFoldersAreThoseOfNNUNet(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("needs GOUNET_DATA, the folder of the reference data")
	}
	dir := filepath.Join(data, "golden", "predict")
	steps := filepath.Join(t.TempDir(), postprocessingFile)
	require.NoError(t, metric.Postprocessing{{1}, {2}}.Write(steps))
	out := filepath.Join(t.TempDir(), "out")
	got := gounet(t, "postprocess", filepath.Join(dir, "small3d_no_tta"), "--steps", steps, "--output", out)
	require.Equal(t, exitOK, got.code, got.err)
	files, err := filepath.Glob(filepath.Join(dir, "postprocessing", "largest_per_label", "*.nii.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		want, _, err := nifti.ReadLabels(f)
		require.NoError(t, err)
		have, _, err := nifti.ReadLabels(filepath.Join(out, filepath.Base(f)))
		require.NoError(t, err)
		assert.Equal(t, want.Data, have.Data, filepath.Base(f))
	}
}
