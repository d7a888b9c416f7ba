package main

import (
	"archive/zip"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/core/volume"
)

// TestInfoOfOurOwnJSON takes each file under another name than its own: what it is
// stands in it.
func TestInfoOfOurOwnJSON(t *testing.T) {
	labels, dir := oneLabel(t), t.TempDir()
	summary := filepath.Join(dir, "scores.json")
	require.Equal(t, exitOK, gounet(t, "evaluate", labels, labels, "--output", summary).code)
	steps := filepath.Join(dir, "steps.json")
	require.NoError(t, metric.Postprocessing{{1, 2}, {2}}.Write(steps))
	write := func(name string, v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, b, 0o666))
		return path
	}
	for _, c := range []struct {
		path, kind string
		want       []string
	}{
		{summary, "summary", []string{"foreground", "1.0000", "1 case"}},
		{steps, "postprocessing", []string{"labels 1, 2 together", "labels 2 together"}},
		{
			write("chosen.json", selection{Best: []string{"2d", "3d_fullres"}, Folds: []string{"0"}, Candidates: []candidate{{Configurations: []string{"2d"}, Dice: 0.5, Cases: 3}}, Dice: 0.75}),
			"selection",
			[]string{"2d+3d_fullres", "0.5000 over 3 cases", "0.7500"},
		},
		{write("folds.json", []any{map[string]any{"train": []string{"a", "b"}, "val": []string{"c"}}}), "splits", []string{"2 cases to train on, 1 held out"}},
		{write("used.json", map[string]any{"version": "x", "device": "cpu", "epochs": 7}), "settings", []string{"epochs", "7"}},
	} {
		got := gounet(t, "info", c.path)
		require.Equal(t, exitOK, got.code, got.err)
		for _, want := range c.want {
			assert.Contains(t, got.out, want)
		}
		got = gounet(t, "info", c.path, "--json")
		require.Equal(t, exitOK, got.code, got.err)
		var kind struct{ Kind string }
		require.NoError(t, json.Unmarshal([]byte(got.out), &kind))
		assert.Equal(t, c.kind, kind.Kind)
	}
	got := gounet(t, "info", write("other.json", map[string]int{"spacing": 1}))
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "not a plan, nor another file that is known, its keys are spacing: wanted plan.json")
}

func TestInfoSaysWhichFileOfARun(t *testing.T) {
	dir := t.TempDir()
	saveUntrained(t, dir)
	for _, c := range []struct{ file, want string }{
		{checkpoint.WeightsFile, "after the last epoch"},
		{checkpoint.StateFile, "--resume goes on from"},
	} {
		got := gounet(t, "info", filepath.Join(dir, c.file))
		require.Equal(t, exitOK, got.code, got.err)
		assert.Regexp(t, `(?m)^file +`+c.file+`, .*`+c.want, got.out)
	}
	assert.NotRegexp(t, `(?m)^file `, gounet(t, "info", dir).out)
}

func TestInfoOfPredictions(t *testing.T) {
	dir := oneLabel(t)
	run := t.TempDir()
	saveUntrained(t, run)
	m, err := checkpoint.Open(run)
	require.NoError(t, err)
	require.NoError(t, m.Plan.Save(filepath.Join(dir, plan.FileName)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, train.SettingsFile), []byte(`{"version": "x", "device": "cpu", "model": "the/model"}`), 0o666))
	got := gounet(t, "info", dir)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Regexp(t, `(?m)^label maps +1$`, got.out)
	assert.Contains(t, got.out, "the/model")
	assert.Contains(t, got.out, "1 Anterior")

	file := filepath.Join(dir, "a.npz")
	f, err := os.Create(file)
	require.NoError(t, err)
	z := zip.NewWriter(f)
	w, err := z.Create("probabilities.npy")
	require.NoError(t, err)
	header := "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4, 5, 6), }\n"
	_, err = w.Write(append([]byte{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, byte(len(header)), 0}, header...))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, f.Close())
	got = gounet(t, "info", file)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Regexp(t, `probabilities +3, 4, 5, 6 of <f4`, got.out)
}

func TestInfoOfColoursHasTheirShape(t *testing.T) {
	im := &volume.Image{Grid: volume.Grid{Shape: [3]int{2, 3, 4}, Spacing: [3]float64{1, 1, 1}}, C: 1, Data: make([]float32, 24)}
	for i := range 4 {
		im.Affine[i][i] = 1
	}
	path := filepath.Join(t.TempDir(), "a.nii")
	require.NoError(t, nifti.WriteImage(path, im, nil))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for datatype, want := range map[uint16]string{128: "rgb24", 32: "complex64"} {
		binary.LittleEndian.PutUint16(b[70:], datatype) // of the NIfTI-1 header
		require.NoError(t, os.WriteFile(path, b, 0o666))
		got := gounet(t, "info", path)
		require.Equal(t, exitOK, got.code, got.err)
		assert.Contains(t, got.out, "4 × 3 × 2")
		assert.Contains(t, got.out, want)
		assert.Contains(t, got.out, "are not read")
		assert.Equal(t, exitError, gounet(t, "convert", path, path+".mha").code, "it is no scan")
	}
}
