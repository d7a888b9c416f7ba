package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
)

// oneLabel is a folder with one label map.
func oneLabel(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(hippocampus, "labelsTr", "hippocampus_003.nii.gz"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.nii.gz"), text, 0o666))
	return dir
}

func TestScoresThatCannotBeWrittenAreRefusedBeforeTheyAreMade(t *testing.T) {
	labels, dir := oneLabel(t), t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	for _, output := range []string{dir, filepath.Join(file, "summary.json"), filepath.Join(file, "deep", "summary.json")} {
		got := gounet(t, "evaluate", labels, labels, "--output", output)
		assert.Equal(t, exitUsage, got.code, got.err)
		assert.Contains(t, got.err, "--output "+output)
		assert.NotContains(t, got.err, "1/1", "nothing is scored")
	}
	// A folder that is not there is made.
	output := filepath.Join(dir, "new", "folder", "summary.json")
	got := gounet(t, "evaluate", labels, labels, "--output", output)
	require.Equal(t, exitOK, got.code, got.err)
	s, err := metric.ReadSummary(output)
	require.NoError(t, err)

	// What fails later all the same, as on a full disk, does not lose the scores.
	var out bytes.Buffer
	f := &evaluateFlags{output: dir}
	require.Error(t, f.give(&app{out: &out, err: &out}, s, nil))
	assert.Contains(t, out.String(), "foreground  1.0000")
}

func TestAPlanThatCannotBeWrittenIsRefusedBeforeTheDataSetIsRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o666))
	for _, args := range [][]string{
		{"--nnunet-plans", filepath.Join(file, "x.json")},
		{"--output", dir},
		{"--work", filepath.Join(file, "work")},
	} {
		got := gounet(t, append([]string{"plan", hippocampus, "--work", filepath.Join(dir, "w")}, args...)...)
		assert.Equal(t, exitUsage, got.code, got.err)
		assert.Contains(t, got.err, args[1])
		assert.NotContains(t, got.err, "/40 cases", "no case is read")
	}
	assert.NoDirExists(t, filepath.Join(dir, "w"))
}

func TestADeviceThatIsNotThereIsRefusedBeforeTheDataSetIsRead(t *testing.T) {
	work := filepath.Join(t.TempDir(), "work")
	for _, args := range [][]string{
		{"--device", "gpu"},
		{"--device", "cuda:99"},
		{"--precision", "f8"},
		{"--device", "cuda:99", "--precision", "bf16"},
	} {
		for _, command := range [][]string{{"train", hippocampus, "3d_fullres"}, {"run", hippocampus}} {
			got := gounet(t, append(append(command, "--work", work), args...)...)
			assert.NotEqual(t, exitOK, got.code)
			assert.NotContains(t, got.err, "/40 cases", "%v: no case is read", args)
			assert.NoDirExists(t, work, "%v", args)
		}
	}
}

// TestZeroIsTakenWhereHelpGivesItAMeaning asks each command for something else that is
// wrong, which it finds when it has taken the zero.
func TestZeroIsTakenWhereHelpGivesItAMeaning(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	model := filepath.Join("..", "..", "testdata", "model", "hippocampus.gounet")
	predict := []string{"predict", "--model", model, "--input", absent, "--output", t.TempDir()}
	train := []string{"train", hippocampus, "3d_fullres", "--work", t.TempDir(), "--device", "cuda:99"}
	for _, c := range []struct {
		args []string
		flag string
	}{
		{[]string{"plan", absent}, "--memory-gb"},
		{predict, "--step"},
		{predict, "--memory-gb"},
		{train, "--warmup"},
		{train, "--gpus"},
		{train, "--ranks"},
	} {
		got := gounet(t, append(c.args, c.flag, "0")...)
		assert.NotEqual(t, exitOK, got.code)
		assert.NotContains(t, got.err, c.flag)
		got = gounet(t, append(c.args, c.flag, "-2")...)
		assert.Equal(t, exitUsage, got.code)
		assert.Contains(t, got.err, c.flag)
	}
	got := gounet(t, append(predict, "--step", "1.5")...)
	assert.Equal(t, exitUsage, got.code, got.err)
}

func TestNoWarmupIsAlsoAChoice(t *testing.T) {
	c, r := &plan.Configuration{Dim: 3}, plan.NNUNet(3)
	r.Schedule.Warmup = 7
	(&trainFlags{valBatches: -1, warmup: -1}).override(c, &r, false)
	assert.Equal(t, 7, r.Schedule.Warmup)
	(&trainFlags{valBatches: -1}).override(c, &r, false)
	assert.Zero(t, r.Schedule.Warmup)
}
