package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/raster"
	"github.com/gounet/gounet/core/volume"
)

func TestPicturesAreScoredInPixels(t *testing.T) {
	dir := t.TempDir()
	l := volume.NewLabels(volume.Grid{Shape: [3]int{1, 4, 5}, Spacing: [3]float64{999, 1, 1}})
	copy(l.Data, []uint8{0, 1, 1, 1})
	require.NoError(t, raster.WriteLabels(filepath.Join(dir, "a.png"), l))
	got := gounet(t, "evaluate", dir, dir, "--surface", "--output", filepath.Join(dir, "summary.json"))
	require.Equal(t, exitOK, got.code, got.err)
	assert.Regexp(t, `1 +1.0000 +1.0000 +3.0 px +3.0 px +0.0000 px`, got.out)
	assert.NotContains(t, got.out, "mL")
}
