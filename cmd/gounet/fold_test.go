package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/train"
)

// foldEpochs names the variable with the epochs of 250 steps of TestAFoldOfTheHippocampus, and
// foldTime that with the time after which no other epoch begins.
const (
	foldEpochs = "GOUNET_TEST_FOLD_EPOCHS"
	foldTime   = "GOUNET_TEST_FOLD_TIME"
)

// A whole fold of the hippocampus data by nnU-Net's plan (batch 9 of 40×56×40, features 32 to 256)
// has a mean Dice of 0.87 or more over the held-out cases: what nnU-Net has after 1000 epochs is 0.89.
func TestAFoldOfTheHippocampus(t *testing.T) {
	data, epochs, most := os.Getenv("GOUNET_DATA"), os.Getenv(foldEpochs), os.Getenv(foldTime)
	if data == "" || epochs == "" || most == "" {
		t.Skipf("takes minutes on a GPU: set GOUNET_DATA, %s (16) and %s (100s)", foldEpochs, foldTime)
	}
	t.Setenv(foldEpochs, "") // they are no settings of gounet's
	t.Setenv(foldTime, "")
	require.NoError(t, os.Unsetenv(foldEpochs))
	require.NoError(t, os.Unsetenv(foldTime))
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	got := gounet(t, "train", filepath.Join(data, "msd_task04_hippocampus"), "3d_fullres", "--work", filepath.Join(dir, "work"), "--output", run,
		"--fold", "0", "--epochs", epochs, "--iterations", "250", "--max-time", most)
	require.Equal(t, exitOK, got.code, got.err)
	log, err := train.ReadLog(run)
	require.NoError(t, err)
	for _, e := range log {
		t.Logf("epoch %d: loss %.4f, pseudo Dice %.4f, %.2f s, %.0f images/s", e.Epoch, float64(e.TrainLoss), float64(e.MeanDice), e.Seconds, e.ImagesPerSecond)
	}
	s, err := metric.ReadSummary(filepath.Join(run, validationFolder, summaryFile))
	require.NoError(t, err)
	t.Logf("Dice %.4f of %d cases after %d of %s epochs, %.2f s for the last of them", s.ForegroundMean.Dice, len(s.Cases), len(log), epochs, log[len(log)-1].Seconds)
	assert.GreaterOrEqual(t, s.ForegroundMean.Dice, 0.87)
}
