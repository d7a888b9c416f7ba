package main

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/checkpoint/checkpointtest"
	"github.com/gounet/gounet/core/train"
)

// testDevice is the device of tests that train: the CPU, or what GOUNET_DEVICE says.
func testDevice() string { return cmp.Or(os.Getenv("GOUNET_DEVICE"), onCPU) }

// lossesOf are those of the epochs of a short training.
func lossesOf(t *testing.T, work, device, precision string) (list []float64) {
	t.Helper()
	run := filepath.Join(t.TempDir(), "run")
	got := gounet(t, "train", hippocampus, "3d_fullres", "--work", work, "--output", run, "--no-validation", "--seed", "5", "--epochs", "4",
		"--iterations", "8", "--val-iterations", "1", "--batch", "2", "--width", "4", "--device", device, "--precision", precision)
	require.Equal(t, exitOK, got.code, got.err)
	log, err := train.ReadLog(run)
	require.NoError(t, err)
	require.Len(t, log, 4)
	for _, e := range log {
		list = append(list, float64(e.TrainLoss))
	}
	t.Logf("%s in %s: %.4f", device, precision, list)
	return list
}

// In 16 bits a training has the losses of one in f32 on the CPU, which fall from 1 to 0.6: no epoch's
// is further away than a unit of bf16's last place at 1, and none of f32 than one of f16's in four.
// In f32 what differs are orders of sums, of 2⁻²⁴ each.
func TestPrecisionsTrainAlike(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work := smallWork(t)
	want := lossesOf(t, work, onCPU, "f32")
	require.Less(t, want[3], want[0]-0.2, "it learns")
	for precision, distance := range map[string]float64{"f32": 0x1p-12, "f16": 0x1p-8, "bf16": 0x1p-8} {
		if precision == "f32" && testDevice() == onCPU {
			continue
		}
		for i, loss := range lossesOf(t, work, testDevice(), precision) {
			assert.InDelta(t, want[i], loss, distance, "%s, epoch %d", precision, i)
		}
	}
}

// Processes that train at the same time on one device do not disturb each other.
func TestTrainingsBesideEachOtherKeepTheirBits(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work, dir := smallWork(t), t.TempDir()
	args := []string{
		"train", hippocampus, "3d_fullres", "--work", work, "--no-validation", "--seed", "5", "--epochs", "2", "--iterations", "4",
		"--val-iterations", "1", "--batch", "2", "--width", "4", "--tune=false",
	}
	got := gounet(t, append(slices.Clone(args), "--output", filepath.Join(dir, "alone"))...)
	require.Equal(t, exitOK, got.code, got.err)
	list := []*process{}
	for _, name := range []string{"a", "b"} {
		list = append(list, launched(t, 1, append(slices.Clone(args), "--output", filepath.Join(dir, name)), nil)...)
	}
	want := checkpointtest.Tensors(t, filepath.Join(dir, "alone", checkpoint.StateFile))
	for i, p := range list {
		require.Equal(t, exitOK, p.code(t), p.out.String())
		checkpointtest.SameBits(t, want, checkpointtest.Tensors(t, filepath.Join(dir, []string{"a", "b"}[i], checkpoint.StateFile)), "the same bits")
	}
}
