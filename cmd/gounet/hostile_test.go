package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/server/servertest"
)

// copied is a copy of the data set of the repository, in a folder of that name.
func copied(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.CopyFS(dir, os.DirFS(hippocampus)))
	return dir
}

func TestNothingIsWrittenOverADataSet(t *testing.T) {
	data := copied(t, "data")
	scan := filepath.Join(data, "imagesTr", "hippocampus_003.nii.gz")
	before, err := os.ReadFile(scan)
	require.NoError(t, err)
	for _, args := range [][]string{
		{"plan", data, "--output", scan},
		{"plan", data, "--nnunet-plans", scan},
		{"plan", data, "--output", filepath.Join(data, "dataset.json")},
		{"plan", data, "--work", data},
		{"preprocess", data, "--work", filepath.Join(data, "imagesTr")},
		{"convert", scan, scan},
	} {
		got := gounet(t, args...)
		assert.Equal(t, exitUsage, got.code, "%v: %s", args[0], got.err)
	}
	after, err := os.ReadFile(scan)
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

func TestNothingIsWrittenOverAModel(t *testing.T) {
	model, data := t.TempDir(), copied(t, "data")
	require.NoError(t, checkpoint.Save(model, servertest.Model()))
	weights := filepath.Join(model, checkpoint.WeightsFile)
	before, err := os.ReadFile(weights)
	require.NoError(t, err)
	labels := filepath.Join(data, "labelsTr")
	for _, args := range [][]string{
		{"evaluate", labels, labels, "--output", weights},
		{"report", model, "--output", filepath.Join(model, plan.FileName)},
		{"report", model, "--output", filepath.Join(data, "dataset.json")},
		{"report", model, "--output", filepath.Join(labels, "hippocampus_003.nii.gz")},
	} {
		got := gounet(t, args...)
		assert.Equal(t, exitUsage, got.code, "%v: %s", args, got.err)
	}
	after, err := os.ReadFile(weights)
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

func TestAWorkFolderIsOfOneDataSet(t *testing.T) {
	first, second, work := copied(t, "same"), copied(t, "same"), filepath.Join(t.TempDir(), "work")
	got := gounet(t, "plan", first, "--work", work)
	require.Equal(t, exitOK, got.code, got.err)
	got = gounet(t, "plan", second, "--work", work)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, first)
	assert.Contains(t, got.err, second)
	require.NoError(t, os.RemoveAll(first))
	got = gounet(t, "plan", second, "--work", work)
	assert.Equal(t, exitOK, got.code, "a data set may move: %s", got.err)
}

func TestAPlanOfOtherLabelsIsNotTrained(t *testing.T) {
	work := filepath.Join(t.TempDir(), "work")
	require.Equal(t, exitOK, gounet(t, "plan", hippocampus, "--work", work).code)
	file := filepath.Join(work, plan.FileName)
	p, err := plan.Load(file)
	require.NoError(t, err)
	p.Labels = p.Labels[:2]
	require.NoError(t, p.Save(file))
	got := gounet(t, append([]string{"train", hippocampus, "3d_fullres", "--work", work}, short...)...)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "plan again")
}

func TestConfigurationsNameFoldersOfTheirOwn(t *testing.T) {
	work := filepath.Join(t.TempDir(), "work")
	require.Equal(t, exitOK, gounet(t, "plan", hippocampus, "--work", work).code)
	file := filepath.Join(work, plan.FileName)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), `"3d_fullres"`, `"../../evil"`)), 0o666))
	got := gounet(t, append([]string{"train", hippocampus, "../../evil", "--work", work}, short...)...)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "names a folder")
}

func TestArgumentsBeyondReasonAreRefused(t *testing.T) {
	for _, args := range [][]string{
		{"bench"},
		{"bench", "foo"},
		{"bench", "ops", "--threads", "100000"},
		{"train", hippocampus, "3d_fullres", "--threads", "100000", "--work", t.TempDir()},
		{"predict", "--model", "x", "--input", "y", "--output", "z", "--memory-gb", "nan"},
		{"predict", "--model", "x", "--input", "y", "--output", "z", "--memory-gb", "-1"},
	} {
		got := gounet(t, args...)
		assert.Equal(t, exitUsage, got.code, "%v: %s", args, got.err)
	}
}

func TestASettingThatAPlanCannotHaveIsNamed(t *testing.T) {
	work := smallWork(t)
	splits := filepath.Join(work, "splits.json")
	require.NoError(t, os.WriteFile(splits, []byte("PK"), 0o600))
	for want, args := range map[string][]string{
		"class_weights for 3 labels with background (with loss ": {"--class-weights", "1,1", "--batch", "2"},
		"batch 100000000 instead of ":                            {"--batch", "100000000"},
		"splits.json: no JSON at byte 1: wanted a list of":       {"--splits", splits},
	} {
		got := gounet(t, append([]string{"train", hippocampus, "3d_fullres", "--work", work, "--output", filepath.Join(work, "run"), "--quiet"}, args...)...)
		assert.NotEqual(t, exitOK, got.code)
		assert.Contains(t, got.err, want)
	}
}
