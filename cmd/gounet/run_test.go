package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/checkpoint/checkpointtest"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

// asProgram makes the test binary run as gounet itself, so that a test can kill it.
const asProgram = "GOUNET_TEST_AS_PROGRAM"

// withStatus as its value lets it print in the end what Linux knows of the process.
const withStatus = "status"

func TestMain(m *testing.M) {
	as := os.Getenv(asProgram)
	if as == "" {
		os.Exit(m.Run())
	}
	os.Unsetenv(asProgram) // it is no setting of gounet's
	if as != withStatus {
		main()
	}
	code := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
	status, _ := os.ReadFile("/proc/self/status")
	_, _ = os.Stdout.Write(status)
	os.Exit(code)
}

// smallWork is a work folder with a plan for small patches of the hippocampus.
func smallWork(t *testing.T) string {
	t.Helper()
	work := filepath.Join(t.TempDir(), "work")
	got := gounet(t, "plan", hippocampus, "--work", work)
	require.Equal(t, exitOK, got.code, got.err)
	file := filepath.Join(work, plan.FileName)
	p, err := plan.Load(file)
	require.NoError(t, err)
	c := p.Configuration(plan.ConfigFullRes)
	c.Patch = [3]int{16, 24, 16}
	p.Configurations = []plan.Configuration{*c}
	require.NoError(t, p.Save(file))
	return work
}

func TestKilledTrainingResumesToTheSameBits(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work := smallWork(t)
	args := []string{
		"train", hippocampus, "3d_fullres", "--work", work, "--fold", "0", "--no-validation", "--seed", "5", "--epochs", "6", "--iterations", "4",
		"--val-iterations", "1", "--batch", "2", "--width", "4", "--checkpoint-every", "1",
	}
	whole := filepath.Join(t.TempDir(), "whole")
	start := time.Now()
	got := gounet(t, append(slices.Clone(args), "--output", whole)...)
	require.Equal(t, exitOK, got.code, got.err)
	took := time.Since(start)

	killed := filepath.Join(t.TempDir(), "killed")
	r := rand.New(rand.NewPCG(1, 2))
	kills, begun := 0, false
	for range 40 {
		cmd := exec.Command(os.Args[0], append(slices.Clone(args), "--output", killed, "--resume")...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		require.NoError(t, cmd.Start())
		// From the first moments of a process to about half of the whole training.
		timer := time.AfterFunc(time.Duration(r.Float64()*float64(took)/2), func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		if err == nil && kills > 0 {
			break
		}
		if err == nil { // the machine is faster than it was: again from the beginning
			took /= 2
			require.NoError(t, os.RemoveAll(killed))
			continue
		}
		kills++
		if _, err := os.Stat(filepath.Join(killed, checkpoint.StateFile)); err == nil {
			begun = true
		}
	}
	got = gounet(t, append(slices.Clone(args), "--output", killed, "--resume")...)
	require.Equal(t, exitOK, got.code, got.err)
	t.Logf("killed %d times; a checkpoint was there in between: %v", kills, begun)
	assert.Positive(t, kills)
	log, err := train.ReadLog(killed)
	require.NoError(t, err)
	for i, e := range log {
		assert.Equal(t, i, e.Epoch, "each epoch is logged once")
	}
	assert.Len(t, log, 6)
	for _, file := range []string{checkpoint.StateFile, checkpoint.WeightsFile, checkpoint.BestFile} {
		checkpointtest.SameBits(t, checkpointtest.Tensors(t, filepath.Join(whole, file)), checkpointtest.Tensors(t, filepath.Join(killed, file)), file)
	}
	got = gounet(t, append(slices.Clone(args), "--output", killed, "--resume", "--width", "8")...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "was begun with ")
	assert.Contains(t, got.err, " instead of ")
}

// With one fold that has all cases there is nothing to choose by, but to train and to label.
func TestRunOnAllCasesTrainsAndLabels(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir, work := tinyDataset(t)
	args := append([]string{"run", dir, "--work", work, "--folds", "all"}, short...)
	got := gounet(t, append(slices.Clone(args), "--configs", "3d_lowres,3d_fullres")...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "give one of --configs 3d_lowres, 3d_fullres")
	got = gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "predicted 2 test cases with 3d_fullres")
	assert.NoDirExists(t, filepath.Join(work, plan.ConfigLowRes))
	got = gounet(t, args...)
	assert.Equal(t, exitOK, got.code, got.err)
	assert.NotContains(t, got.out, "trained", "it is kept")
	for _, folder := range []string{work, filepath.Join(work, predictionsFolder)} {
		var used struct {
			Configs, Folds []string
			Ensembles      *bool `json:"no-ensembles"`
			Version        string
			Given          map[string]string
		}
		b, err := os.ReadFile(filepath.Join(folder, train.SettingsFile))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &used))
		assert.Equal(t, []string{plan.ConfigFullRes}, used.Configs)
		assert.Equal(t, []string{"all"}, used.Folds)
		assert.NotNil(t, used.Ensembles)
		assert.Equal(t, version, used.Version)
		assert.Equal(t, "all", used.Given["folds"])
		assert.Equal(t, "1", used.Given["epochs"])
		assert.NotContains(t, used.Given, "configs")
	}
}

func TestRunTrainsChoosesAndContinues(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work := smallWork(t)
	args := []string{
		"run", hippocampus, "--work", work, "--folds", "0,1", "--epochs", "1", "--iterations", "2", "--val-iterations", "1",
		"--batch", "2", "--width", "2",
	}
	got := gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	s, err := metric.ReadSummary(filepath.Join(work, plan.ConfigFullRes, crossvalFolder, summaryFile))
	require.NoError(t, err)
	assert.Len(t, s.Cases, 16, "the held-out cases of both folds")
	b, err := os.ReadFile(filepath.Join(work, bestFile))
	require.NoError(t, err)
	var best selection
	require.NoError(t, json.Unmarshal(b, &best))
	require.Len(t, best.Candidates, 1)
	assert.Equal(t, 16, best.Candidates[0].Cases)

	fold0 := filepath.Join(work, plan.ConfigFullRes, "fold_0")
	_, err = checkpoint.Open(work)
	assert.ErrorContains(t, err, fold0, "who gives the work folder is told of the runs in it")
	m, err := checkpoint.Open(filepath.Join(fold0, checkpoint.WeightsFile))
	require.NoError(t, err)
	assert.Equal(t, "0", m.Folds[0].Name)

	state := filepath.Join(fold0, checkpoint.StateFile)
	before, err := os.Stat(state)
	require.NoError(t, err)
	got = gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	after, err := os.Stat(state)
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after), "what is there is kept")

	got = gounet(t, append(args, "--learning-rate", "0.5")...)
	assert.Equal(t, exitUsage, got.code, "but not for what was made with other settings")
	assert.Contains(t, got.err, "was begun with ")
	assert.Contains(t, got.err, " instead of ")
}
