package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bench/compare.py on a GPU, with programs that answer as gounet and PyTorch do: what one of
// them cannot do is a row that says so, and what was measured is kept.
func TestCompareKeepsWhatIsMeasuredAndSaysWhatIsMissing(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	folder := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755))
		return path
	}
	ours := script("gounet", `
machine='"cpu": "C", "device": "cuda (G)", "isa": "CUDA", "precision": "f16", "peaks": [{"gflops": 4, "gb_second": 5}]'
case "$*" in
*"train"*"--batch=4"*) echo "gounet: 8 MiB are wanted, 4 are free" >&2; echo "see: gounet bench train --help" >&2; exit 1 ;;
*train*) echo "{$machine, \"rows\": [{\"best_s\": 0.5, \"peak_share\": 0.25}]}" ;;
*--tta*) echo "{$machine, \"rows\": [{\"what\": \"scan\", \"tiles\": 64, \"best_s\": 2, \"peak_share\": null}]}" ;;
*) sleep 60 ;;
esac
`)
	theirs := script("python", `
machine='"torch": "2", "isa": "AVX2", "gpu": "G"'
case "$*" in
*torch_train.py*--compile*) echo "{$machine, \"rows\": [], \"best\": [{\"layout\": \"channels_last_3d\", \"compiled\": true, \"best_s\": 1}]}" ;;
*torch_train.py*) echo "{$machine, \"rows\": [], \"best\": [{\"layout\": \"channels_last_3d\", \"compiled\": false, \"best_s\": 1.5}]}" ;;
*--compile*) echo no JSON ;;
*) echo "{$machine, \"rows\": [], \"best\": [{\"mirror\": \"no\", \"layout\": \"default\", \"at_once\": 2, \"tiles\": 8, \"best_s\": 1},
	{\"mirror\": \"yes\", \"layout\": \"default\", \"at_once\": 2, \"tiles\": 64, \"error\": \"out of memory: 8 GiB\"}]}" ;;
esac
`)
	file := filepath.Join(folder, "rows.json")
	cmd := exec.Command(python, filepath.Join("..", "..", "bench", "compare.py"), "--device", "cuda", "--network", "brain", "--limit", "2",
		"--compile", "--gounet", ours, "--python", theirs, "--json", file)
	out, err := cmd.Output()
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "rows are missing: %v", err)
	assert.Contains(t, string(exit.Stderr), "rows are missing")
	assert.Contains(t, string(out), "cuda (G) on C, f16, peak: 4.0 GFLOP/s, 5.0 GB/s")
	assert.Contains(t, string(out), "out of memory: 8 GiB")

	var got struct {
		Rows []struct {
			What     string
			Gounet   *float64 `json:"gounet_s"`
			Torch    *float64 `json:"torch_s"`
			Compiled *float64 `json:"torch_compiled_s"`
			Images   *float64 `json:"gounet_images_per_s"`
			Speed    *float64
			Notes    []string
		}
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &got))
	require.Len(t, got.Rows, 4)
	two, four, plain, mirrored := got.Rows[0], got.Rows[1], got.Rows[2], got.Rows[3]
	assert.Equal(t, "training step of brain 128x128x128, batch 2, width 32", two.What)
	assert.Equal(t, []float64{0.5, 1.5, 1, 2, 4}, []float64{*two.Gounet, *two.Torch, *two.Compiled, *two.Speed, *two.Images}, "the better of PyTorch's counts")
	assert.Empty(t, two.Notes)
	assert.Nil(t, four.Gounet)
	assert.InDelta(t, 1.5, *four.Torch, 0)
	assert.Equal(t, []string{"gounet: 8 MiB are wanted, 4 are free"}, four.Notes)
	assert.Equal(t, "ended after 2 s", plain.Notes[0], "what hangs costs its row")
	assert.InDelta(t, 1, *plain.Torch, 0)
	assert.InDelta(t, 2, *mirrored.Gounet, 0)
	assert.Equal(t, []string{"PyTorch: out of memory: 8 GiB"}, mirrored.Notes)
}
