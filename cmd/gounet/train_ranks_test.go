package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/checkpoint/checkpointtest"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

// process is a gounet of its own, as a launcher starts it.
type process struct {
	*exec.Cmd
	out  bytes.Buffer
	done chan struct{} // closed when it has ended
}

// hangs is what takes longer than anything does on the slowest machine.
const hangs = 5 * time.Minute

// launched starts n processes with the variables that torchrun sets, and change's.
func launched(t *testing.T, n int, args []string, change func(rank int) []string) []*process {
	t.Helper()
	port := freePort(t)
	list := make([]*process, n)
	for rank := range list {
		p := &process{Cmd: exec.Command(os.Args[0], args...), done: make(chan struct{})}
		p.Env = append(os.Environ(), asProgram+"=1", "MASTER_ADDR=127.0.0.1", "MASTER_PORT="+port,
			fmt.Sprintf("WORLD_SIZE=%d", n), fmt.Sprintf("RANK=%d", rank), fmt.Sprintf("LOCAL_RANK=%d", rank))
		if change != nil {
			p.Env = append(p.Env, change(rank)...)
		}
		p.Stdout, p.Stderr = &p.out, &p.out
		require.NoError(t, p.Start())
		t.Cleanup(func() { _ = p.Process.Kill() })
		go func() {
			_ = p.Wait() // the code says it
			close(p.done)
		}()
		list[rank] = p
	}
	return list
}

// freePort is one that nobody listens at, and below those that a system gives to
// connections: the processes begin to use it later. Tests beside this one draw another.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			require.NoError(t, l.Close())
			return port
		}
	}
}

// code waits for the end of a process.
func (p *process) code(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
		return p.ProcessState.ExitCode()
	case <-time.After(hangs):
		require.Fail(t, "a process does not end")
		return -1
	}
}

func TestProcessesTrainTogether(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work := smallWork(t)
	file := filepath.Join(work, plan.FileName)
	made, err := plan.Load(file)
	require.NoError(t, err)
	made.Recipe.Inference.Mirror = [3]bool{} // for speed
	require.NoError(t, made.Save(file))
	args := func(run string, more ...string) []string {
		return append([]string{
			"train", hippocampus, "3d_fullres", "--work", work, "--output", run, "--no-validation", "--seed", "5", "--epochs", "2",
			"--iterations", "3", "--val-iterations", "1", "--batch", "4", "--width", "4", "--threads", "1",
		}, more...)
	}
	dir := t.TempDir()
	splits := filepath.Join(dir, "splits.json")
	ids := `"val": ["hippocampus_003", "hippocampus_011", "hippocampus_024"], "train": ["hippocampus_036", "hippocampus_044", "hippocampus_051"]`
	require.NoError(t, os.WriteFile(splits, []byte("[{"+ids+"}]"), 0o666))
	here := filepath.Join(dir, "here")
	got := gounet(t, args(here, "--splits", splits, "--ranks", "4", "--no-validation=false")...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.err, "on each of 4 ranks")
	assert.Contains(t, got.out, "validated 3 cases")
	labels := filepath.Join(dir, "labels") // of a case that rank 1 made
	predicted := gounet(t, "predict", "--model", here, "--input", filepath.Join(hippocampus, "imagesTr", "hippocampus_011.nii.gz"), "--output", labels)
	require.Equal(t, exitOK, predicted.code, predicted.err)
	want, _, err := nifti.ReadLabels(filepath.Join(labels, "hippocampus_011.nii.gz"))
	require.NoError(t, err)
	held, _, err := nifti.ReadLabels(filepath.Join(here, validationFolder, "hippocampus_011.nii.gz"))
	require.NoError(t, err)
	assert.Equal(t, want.Data, held.Data)

	apart := filepath.Join(dir, "apart")
	for rank, p := range launched(t, 4, args(apart, "--splits", splits), nil) {
		require.Equal(t, exitOK, p.code(t), p.out.String())
		assert.Equal(t, rank == 0, strings.Contains(p.out.String(), "trained   2 epochs"), "one of them speaks")
	}
	for _, file := range []string{checkpoint.StateFile, checkpoint.WeightsFile, checkpoint.BestFile} {
		checkpointtest.SameBits(t, checkpointtest.Tensors(t, filepath.Join(here, file)), checkpointtest.Tensors(t, filepath.Join(apart, file)), "the same bits: %s", file)
	}

	one := filepath.Join(dir, "one")
	got = gounet(t, args(one, "--splits", splits)...)
	require.Equal(t, exitOK, got.code, got.err)
	a, err := train.ReadLog(one)
	require.NoError(t, err)
	b, err := train.ReadLog(apart)
	require.NoError(t, err)
	for i := range a { // how near is core/train's test
		assert.InDelta(t, float64(a[i].TrainLoss), float64(b[i].TrainLoss), 1e-4)
	}
}

// A process that is killed ends the others by the end of its connections, with its name; rank 0
// leaves a checkpoint, or rank 1 where that was rank 0 (core/train: to which bits it goes on).
func TestAKilledProcessEndsTheOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work := smallWork(t)
	dir := t.TempDir()
	for _, killed := range []int{2, 0} {
		run := filepath.Join(dir, strconv.Itoa(killed))
		list := launched(t, 4, []string{
			"train", hippocampus, "3d_fullres", "--work", work, "--output", run, "--no-validation", "--epochs", "1000", "--max-time", "1h",
			"--iterations", "3", "--val-iterations", "1", "--batch", "4", "--width", "4", "--threads", "1", "--checkpoint-every", "1000",
		}, nil)
		require.Eventually(t, func() bool {
			log, err := train.ReadLog(run)
			return err == nil && len(log) > 0
		}, hangs, 10*time.Millisecond)
		pid := list[killed].Process.Pid
		require.NoError(t, list[killed].Process.Signal(syscall.SIGKILL))
		for rank, p := range list {
			if rank != killed {
				require.Equal(t, exitError, p.code(t), p.out.String())
				assert.Contains(t, p.out.String(), fmt.Sprintf("rank %d (", killed))
				assert.Contains(t, p.out.String(), fmt.Sprintf("process %d): it ended without a word", pid))
			}
		}
		assert.FileExists(t, filepath.Join(run, checkpoint.StateFile), "no epoch was the 1000th: it is the one that the loss left")
		saver := list[0]
		if killed == 0 {
			saver = list[1]
		}
		assert.Contains(t, saver.out.String(), "go on with --resume")
	}
}

func TestProcessesThatDoNotBelongTogetherSaySo(t *testing.T) {
	work := smallWork(t)
	args := []string{"train", hippocampus, "3d_fullres", "--work", work, "--batch", "2", "--width", "2"}
	for want, change := range map[string]func(int) []string{
		`--seed is "1", of rank 0 "0"`:      func(rank int) []string { return []string{fmt.Sprintf("GOUNET_SEED=%d", rank)} },
		"it is one of 3 ranks, rank 0 of 2": func(rank int) []string { return []string{fmt.Sprintf("WORLD_SIZE=%d", rank+2)} },
		"differs in its plan from rank 0":   func(rank int) []string { return []string{fmt.Sprintf("GOUNET_LEARNING_RATE=0.0%d", rank+1)} },
	} {
		for _, p := range launched(t, 2, args, change) {
			assert.NotEqual(t, exitOK, p.code(t))
			assert.Contains(t, p.out.String(), want)
		}
	}
}

// GPUs that are not there are missed before the ranks meet, or anything is made.
func TestGPUsThatAreMissingAreMissedAtOnce(t *testing.T) {
	noGPU(t)
	work := filepath.Join(t.TempDir(), "work")
	base := []string{"train", hippocampus, "3d_fullres", "--work", work}
	got := gounet(t, append(slices.Clone(base), "--gpus", "8")...)
	assert.Equal(t, exitError, got.code, got.err)
	assert.Contains(t, got.err, "no CUDA device")
	t.Setenv("RANK", "0") // which waits for the other
	t.Setenv("WORLD_SIZE", "2")
	t.Setenv("LOCAL_RANK", "0")
	t.Setenv("MASTER_ADDR", "127.0.0.1")
	t.Setenv("MASTER_PORT", "29517")
	got = gounet(t, append(slices.Clone(base), "--device", "cuda")...)
	assert.Equal(t, exitError, got.code, got.err)
	assert.Contains(t, got.err, "no CUDA device")
	assert.NotContains(t, got.err, "waiting for")
	assert.NoDirExists(t, work)
}

func TestFlagsOfSeveralDevicesAreChecked(t *testing.T) {
	base := []string{"train", hippocampus, "3d_fullres", "--work", t.TempDir()}
	for want, more := range map[string][]string{
		"give one of them":             {"--gpus", "2", "--ranks", "2"},
		"leave --device away":          {"--gpus", "2", "--device", "cpu"},
		"--ranks shares the processor": {"--ranks", "2", "--device", "cuda"},
		"--ranks is -1":                {"--ranks", "-1"},
		"wanted at most 4096":          {"--ranks", "5000"},
	} {
		got := gounet(t, append(slices.Clone(base), more...)...)
		assert.Equal(t, exitUsage, got.code, got.err)
		assert.Contains(t, got.err, want)
	}
	t.Setenv("WORLD_SIZE", "2")
	got := gounet(t, base...)
	assert.Equal(t, exitUsage, got.code, got.err)
	assert.Contains(t, got.err, `RANK is ""`)
	t.Setenv("RANK", "1")
	t.Setenv("MASTER_ADDR", "127.0.0.1")
	t.Setenv("MASTER_PORT", "1")
	got = gounet(t, append(slices.Clone(base), "--device", "webgpu")...)
	assert.Equal(t, exitUsage, got.code, got.err)
	assert.Contains(t, got.err, "several processes train on cpu or cuda")
}
