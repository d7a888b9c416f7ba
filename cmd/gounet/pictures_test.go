package main

import (
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/tiff"
)

// flatTIFFs has six pictures with a bright square each, and one to label.
func flatTIFFs(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Dataset778_Pictures")
	write := func(folder, name string, value func(inside bool, x, y int) uint8, at int) {
		m := image.NewGray(image.Rect(0, 0, 48, 40))
		for y := range 40 {
			for x := range 48 {
				inside := x >= 8+at && x < 24+at && y >= 10 && y < 26
				m.SetGray(x, y, color.Gray{Y: value(inside, x, y)})
			}
		}
		require.NoError(t, os.MkdirAll(filepath.Join(dir, folder), 0o777))
		f, err := os.Create(filepath.Join(dir, folder, name))
		require.NoError(t, err)
		require.NoError(t, tiff.Encode(f, m, nil))
		require.NoError(t, f.Close())
	}
	scan := func(inside bool, x, y int) uint8 {
		if inside {
			return uint8(180 + x%7)
		}
		return uint8(40 + y%5)
	}
	label := func(inside bool, _, _ int) uint8 {
		if inside {
			return 1
		}
		return 0
	}
	for i := range 6 {
		write("imagesTr", fmt.Sprintf("c%d_0000.tif", i), scan, i)
		write("labelsTr", fmt.Sprintf("c%d.tif", i), label, i)
	}
	write("imagesTs", "c6_0000.tif", scan, 6)
	writeJSON(t, filepath.Join(dir, "dataset.json"), map[string]any{
		"channel_names": map[string]string{"0": "grey"}, "labels": map[string]int{"background": 0, "square": 1}, "numTraining": 6, "file_ending": ".tif",
	})
	return dir
}

func TestTIFFIsTrainedScoredAndLabelledAsTIFF(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir, work := flatTIFFs(t), filepath.Join(t.TempDir(), "work")
	got := gounet(t, append([]string{"run", dir, "--work", work, "--folds", "0", "--configs", "2d"}, short...)...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.FileExists(t, filepath.Join(work, "2d", "fold_0", validationFolder, summaryFile))
	assert.FileExists(t, filepath.Join(work, predictionsFolder, "c6.tif"))
	got = gounet(t, "evaluate", filepath.Join(dir, "labelsTr"), filepath.Join(work, "2d", "fold_0", validationFolder), "--subset")
	assert.Equal(t, exitOK, got.code, got.err)
	out := filepath.Join(t.TempDir(), "out")
	got = gounet(t, "predict", "--model", filepath.Join(work, "2d", "fold_0"), "--input", filepath.Join(dir, "imagesTs"), "--output", out)
	require.Equal(t, exitOK, got.code, got.err)
	assert.FileExists(t, filepath.Join(out, "c6.tif"))
}
