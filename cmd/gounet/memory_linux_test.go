package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
)

// peakBytes is the most memory that the program held with args. What the system
// counts of a process that has ended is no less than what its parent had, so that it
// says itself what it took.
func peakBytes(t *testing.T, args ...string) int64 {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"="+withStatus)
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, string(text))
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	var kib int64
	_, err = fmt.Sscan(after, &kib)
	require.NoError(t, err, string(text))
	return kib << 10
}

func TestATrainingTakesTheMemoryThatIsStated(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work, run := filepath.Join(t.TempDir(), "work"), filepath.Join(t.TempDir(), "run")
	args := []string{"train", hippocampus, "3d_fullres", "--work", work, "--no-validation", "--threads", "2", "--width", "16", "--iterations", "2", "--val-iterations", "1"}
	small := append(args, "--output", run+"0", "--width", "2", "--batch", "2", "--epochs", "1")
	took := peakBytes(t, append(args, "--output", run, "--epochs", "2")...) - peakBytes(t, small...)
	stated := func(dir string) int64 {
		p, err := plan.Load(filepath.Join(dir, plan.FileName))
		require.NoError(t, err)
		n, err := trainingBytes(p, p.Configuration("3d_fullres"), graph.F32)
		require.NoError(t, err)
		return n
	}
	want := stated(run) - stated(run+"0")
	t.Logf("stated %d MiB more than the small one, took %d MiB more", want>>20, took>>20)
	assert.Greater(t, want, int64(100<<20))
	assert.InEpsilon(t, want, took, 0.1, "the room that a backend works in is beside it")
}
