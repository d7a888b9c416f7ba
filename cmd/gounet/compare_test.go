package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
	htmlreport "github.com/gounet/gounet/internal/report"
)

func TestReportOfSeveralRunsComparesThem(t *testing.T) {
	a, b := oldRun(t), oldRun(t)
	for dir, seed := range map[string]string{a: "9007199254740993", b: "9007199254740992"} { // equal as float64
		require.NoError(t, os.WriteFile(filepath.Join(dir, train.SettingsFile), []byte(`{"seed": `+seed+`, "precision": "f32", "ranks": 0}`), 0o666))
	}
	file := filepath.Join(t.TempDir(), "compared.html")
	got := gounet(t, "report", a, b, "--output", file, "--json")
	require.Equal(t, exitOK, got.code, got.err)
	var found htmlreport.Compared
	require.NoError(t, json.Unmarshal([]byte(got.out), &found))
	assert.Equal(t, []htmlreport.Difference{{Name: "Seed", Values: []string{"9007199254740993", "9007199254740992"}}}, found.Differences)
	require.Len(t, found.Structures, 3)
	assert.Equal(t, "Anterior", found.Structures[1].Name)
	assert.Equal(t, 3, found.Structures[1].Runs[1].Common)
	assert.Equal(t, train.Number(1), found.Structures[1].Runs[1].P, "the same predictions")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, want := range []string{"<h1>hippocampus</h1>", "Comparison of 2 runs", "hippocampus_011", "Loss over 3 epochs"} {
		assert.Contains(t, string(text), want)
	}

	require.NoError(t, os.RemoveAll(filepath.Join(b, validationFolder)))
	require.NoError(t, os.Remove(filepath.Join(b, train.LogFile)))
	got = gounet(t, "report", a, b, "--output", file)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, file)
	text, err = os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(text), ": it is not validated yet")
	assert.Contains(t, string(text), ": it has no log of its epochs")
}

func TestReportRefusesRunsThatCannotBeCompared(t *testing.T) {
	a, b := oldRun(t), oldRun(t)
	p, err := plan.Load(filepath.Join(b, plan.FileName))
	require.NoError(t, err)
	out := filepath.Join(t.TempDir(), "x.html")
	for name, args := range map[string][]string{
		"RUN is missing": {"report"},
		"is there twice": {"report", a, a + string(filepath.Separator), "--output", out},
		"of one run":     {"report", a, b, "--dataset", hippocampus, "--output", out},
		"two or more":    {"report", a, "--json"},
	} {
		got := gounet(t, args...)
		assert.Equal(t, exitUsage, got.code, name)
		assert.Contains(t, got.err, name)
	}
	got := gounet(t, "report", a, t.TempDir(), "--output", out)
	assert.Equal(t, exitError, got.code, "no model")

	p.Labels[1].Name, b = "Head", t.TempDir()
	saveUntrainedPlan(t, b, p)
	got = gounet(t, "report", a, b, "--output", out)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "only runs with the same labels can be compared")
	assert.NoFileExists(t, out)
}

func TestRunsAreNamedByWhatDiffers(t *testing.T) {
	for _, c := range []struct{ dirs, want string }{
		{"/r/a /r/b", "a b"},
		{"/r/2d/fold_0 /r/3d/fold_0", "2d/fold_0 3d/fold_0"},
		{"/x /r/x", "/x r/x"},
	} {
		names, err := runNames(strings.Fields(c.dirs))
		require.NoError(t, err)
		assert.Equal(t, strings.Fields(c.want), names)
	}
}
