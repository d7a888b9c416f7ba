package main

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/checkpoint/checkpointtest"
)

func TestFullDiskLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("a small disk cannot be mounted: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(disk, 0)) })
	work := smallWork(t)
	run := filepath.Join(disk, "run")
	args := []string{
		"train", hippocampus, "3d_fullres", "--work", work, "--output", run, "--fold", "0", "--no-validation", "--seed", "5", "--epochs", "4",
		"--iterations", "2", "--val-iterations", "1", "--batch", "2", "--width", "4", "--checkpoint-every", "1",
	}
	whole := filepath.Join(t.TempDir(), "whole")
	got := gounet(t, append(slices.Clone(args), "--output", whole)...)
	require.Equal(t, exitOK, got.code, got.err)

	// Two epochs on a disk that has room, then one that has not.
	ballast := filepath.Join(disk, "ballast")
	got = gounet(t, append(slices.Clone(args), "--max-time", "1ns")...)
	require.Equal(t, exitOK, got.code, got.err)
	var st syscall.Statfs_t
	require.NoError(t, syscall.Statfs(disk, &st))
	require.NoError(t, os.WriteFile(ballast, make([]byte, int64(st.Bavail)*st.Bsize-64<<10), 0o666))
	before := checkpointtest.Tensors(t, filepath.Join(run, checkpoint.StateFile))
	got = gounet(t, append(slices.Clone(args), "--resume")...)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "no space left on device")
	assert.Contains(t, got.err, run, "the file is named")
	checkpointtest.SameBits(t, before, checkpointtest.Tensors(t, filepath.Join(run, checkpoint.StateFile)), "the checkpoint before is whole")

	require.NoError(t, os.Remove(ballast))
	got = gounet(t, append(slices.Clone(args), "--resume")...)
	require.Equal(t, exitOK, got.code, got.err)
	checkpointtest.SameBits(t, checkpointtest.Tensors(t, filepath.Join(whole, checkpoint.StateFile)), checkpointtest.Tensors(t, filepath.Join(run, checkpoint.StateFile)))
}
