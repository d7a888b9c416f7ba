package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/raster"
	"github.com/gounet/gounet/core/scan"
)

// stackDataset is tinyDataset as nnU-Net's Tiff3DIO has it: a TIFF a scan, and its spacing
// in CASE.json.
func stackDataset(t *testing.T) (dir string) {
	t.Helper()
	from, _ := tinyDataset(t)
	dir = filepath.Join(t.TempDir(), "Dataset779_Stacks")
	for _, folder := range []string{"imagesTr", "labelsTr", "imagesTs"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, folder), 0o777))
		files, err := filepath.Glob(filepath.Join(from, folder, "*.nii.gz"))
		require.NoError(t, err)
		for _, file := range files {
			to := filepath.Join(dir, folder, filepath.Base(file[:len(file)-len(".nii.gz")])+".tif")
			if folder == "labelsTr" {
				l, _, err := nifti.ReadLabels(file)
				require.NoError(t, err)
				l.Spacing = spaced
				require.NoError(t, raster.WriteLabels(to, l))
				continue
			}
			im, _, err := nifti.ReadImage(file)
			require.NoError(t, err)
			im.Spacing = spaced
			require.NoError(t, scan.WriteImage(to, im, nil))
		}
	}
	copyFile(t, filepath.Join(from, "splits_final.json"), filepath.Join(dir, "splits_final.json"))
	writeJSON(t, filepath.Join(dir, "dataset.json"), map[string]any{
		"channel_names": map[string]string{"0": "MRI"}, "labels": map[string]int{"background": 0, "Anterior": 1, "Posterior": 2},
		"numTraining": 6, "file_ending": ".tif",
	})
	return dir
}

// spaced is a spacing that no other file says, mm D H W.
var spaced = [3]float64{1.25, 1, 0.75}

func TestStacksOfTIFFAreTrainedOnAndLabelled(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir, work := stackDataset(t), filepath.Join(t.TempDir(), "work")
	got := gounet(t, "plan", dir, "--work", work)
	require.Equal(t, exitOK, got.code, got.err)
	assert.NotContains(t, got.err, "warning")
	file := filepath.Join(work, plan.FileName)
	p, err := plan.Load(file)
	require.NoError(t, err)
	assert.Equal(t, "Tiff3DIO", p.Reader)
	c := p.Configuration(plan.ConfigFullRes)
	back := [3]float64{}
	for i, a := range p.Transpose {
		back[a] = c.Spacing[i]
	}
	assert.Equal(t, spaced, back)
	c.Patch = [3]int{16, 24, 16}
	require.NoError(t, p.Save(file))

	got = gounet(t, append([]string{"run", dir, "--work", work, "--folds", "0", "--configs", "3d_fullres"}, short...)...)
	require.Equal(t, exitOK, got.code, got.err)
	model := filepath.Join(work, plan.ConfigFullRes, "fold_0")
	for _, f := range []string{"tiny_6.tif", "tiny_6.json"} {
		assert.FileExists(t, filepath.Join(work, predictionsFolder, f))
	}
	got = gounet(t, "evaluate", filepath.Join(dir, "labelsTr"), filepath.Join(model, validationFolder), "--subset")
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "1 Anterior")

	// The same scan as NIfTI has the same labels, and each the spacing.
	scanFile, out := filepath.Join(dir, "imagesTs", "tiny_6_0000.tif"), filepath.Join(t.TempDir(), "out")
	nii := filepath.Join(t.TempDir(), "tiny_6_0000.nii.gz")
	got = gounet(t, "convert", scanFile, nii)
	require.Equal(t, exitOK, got.code, got.err)
	got = gounet(t, "predict", "--model", model, "--input", nii, "--output", out, "--output-format", "nifti,tiff")
	require.Equal(t, exitOK, got.code, got.err)
	of := func(path string) ([3]float64, []uint8) {
		l, err := scan.ReadLabels(path)
		require.NoError(t, err)
		return l.Spacing, l.Data
	}
	spacing, want := of(filepath.Join(work, plan.ConfigFullRes, "fold_0", "..", "..", predictionsFolder, plan.ConfigFullRes, "tiny_6.tif"))
	assert.Equal(t, spaced, spacing)
	for _, name := range []string{"tiny_6.tif", "tiny_6.nii.gz"} {
		spacing, labels := of(filepath.Join(out, name))
		assert.Equal(t, spaced, spacing)
		assert.Equal(t, want, labels)
	}

	// What the file does not say is said.
	require.NoError(t, os.Remove(filepath.Join(dir, "imagesTs", "tiny_6.json")))
	got = gounet(t, "predict", "--model", model, "--input", filepath.Join(dir, "imagesTs"), "--output", filepath.Join(t.TempDir(), "out"))
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.err, "warning   tiny_6: no .json file of its name says its spacing: 1 mm along each axis is taken\n")
	got = gounet(t, "info", scanFile)
	assert.Contains(t, got.out, "no .json file of its name says its spacing")
}

func TestSpacingsOfStacksBelongToTheirDataSet(t *testing.T) {
	dir, work := stackDataset(t), filepath.Join(t.TempDir(), "work")
	args := []string{"plan", dir, "--work", work}
	labels := filepath.Join(dir, "labelsTr", "tiny_2.json")
	require.NoError(t, os.Remove(labels))
	got := gounet(t, args...)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "tiny_2: the label does not lie on the grid of the image: spacing [1 1 1] instead of [1.25 1 0.75] mm (D H W): each has its spacing in a file tiny_2.json beside it")

	// Without any, all is 1 mm, as for nnU-Net, and that is said once.
	for _, folder := range []string{"imagesTr", "labelsTr"} {
		files, err := filepath.Glob(filepath.Join(dir, folder, "*.json"))
		require.NoError(t, err)
		for _, f := range files {
			require.NoError(t, os.Remove(f))
		}
	}
	got = gounet(t, "plan", dir, "--check")
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.err, "so it is of 5 other cases")
	got = gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.err, "warning   tiny_0: no .json file of its name says its spacing: 1 mm along each axis is taken; so it is of 5 other cases\n")

	// A file that changes makes its case anew.
	stamp := func() os.FileInfo {
		require.Equal(t, exitOK, gounet(t, "preprocess", dir, "3d_fullres", "--work", work).code)
		st, err := os.Stat(filepath.Join(work, "preprocessed", plan.ConfigFullRes, "tiny_1.safetensors"))
		require.NoError(t, err)
		return st
	}
	before := stamp()
	assert.True(t, os.SameFile(before, stamp()))
	for _, folder := range []string{"imagesTr", "labelsTr"} {
		writeJSON(t, filepath.Join(dir, folder, "tiny_1.json"), map[string]any{"spacing": spaced})
	}
	assert.False(t, os.SameFile(before, stamp()))
}

func TestStacksAreConvertedWithTheirSpacing(t *testing.T) {
	dir := stackDataset(t)
	for _, form := range []string{"msd", "nnunetv2"} {
		to := filepath.Join(t.TempDir(), "Dataset780_"+form)
		got := gounet(t, "convert-dataset", dir, "--output", to, "--to", form)
		require.Equal(t, exitOK, got.code, got.err)
		got = gounet(t, "plan", to, "--work", filepath.Join(t.TempDir(), "work"))
		require.Equal(t, exitOK, got.code, got.err)
		assert.NotContains(t, got.err, "warning", form)
		s, err := scan.Open(t.Context(), scan.Options{}, filepath.Join(to, "imagesTs", map[string]string{"msd": "tiny_6.nii.gz", "nnunetv2": "tiny_6_0000.tif"}[form]))
		require.NoError(t, err)
		assert.InDeltaSlice(t, spaced[:], s.Grid.Spacing[:], 1e-6)
		require.NoError(t, s.Close())
	}
}
