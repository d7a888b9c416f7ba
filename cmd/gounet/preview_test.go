package main

import (
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPreviewShowsWhatTheNetworkGets(t *testing.T) {
	dir, work := tinyDataset(t)
	read := func(args ...string) [][]color3 {
		file := filepath.Join(t.TempDir(), "preview.png")
		got := gounet(t, append([]string{"preview", dir, "--work", work, "--output", file, "--samples", "5", "--seed", "3"}, args...)...)
		require.Equal(t, exitOK, got.code, got.err)
		f, err := os.Open(file)
		require.NoError(t, err)
		defer f.Close()
		m, err := png.Decode(f)
		require.NoError(t, err)
		var rows [][]color3
		for y := range m.Bounds().Dy() {
			var row []color3
			for x := range m.Bounds().Dx() {
				r, g, b, _ := m.At(x, y).RGBA()
				row = append(row, color3{r, g, b})
			}
			rows = append(rows, row)
		}
		return rows
	}
	cut, both := read(), read("--augment")
	require.Len(t, both, 2*len(cut))
	assert.Equal(t, cut, both[:len(cut)], "the first row is what was cut")
	assert.NotEqual(t, cut, both[len(cut):])
	assert.Equal(t, both, read("--augment"), "the same seed, the same picture")
	heavy := read("--augmentation", "da5")
	require.Len(t, heavy, 2*len(cut))
	assert.NotEqual(t, both, heavy, "another list of transforms")
	assert.Equal(t, both, read("--augmentation", "nnunet"), "the plan's own")
	coloured := 0
	for _, row := range both {
		for _, c := range row {
			if c[0] != c[1] {
				coloured++
			}
		}
	}
	assert.Positive(t, coloured, "labels are shown")
}

type color3 [3]uint32
