package metric

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
)

// pairsOf are the label maps of dir that begin with prefix, with their references.
func pairsOf(t *testing.T, dir, references, prefix string) (pairs []Pair) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, prefix+"*.nii.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		pairs = append(pairs, Pair{Name: filepath.Base(f), Reference: filepath.Join(references, filepath.Base(f)), Prediction: f})
	}
	return pairs
}

// TestPostprocessingIsDecidedAsByNNUNet repeats nnUNetv2_determine_postprocessing.
func TestPostprocessingIsDecidedAsByNNUNet(t *testing.T) {
	dir := filepath.Join(dataDir(t), "golden", "predict")
	for name, c := range map[string]struct {
		prefix, determined string
		before, after      float64 // mean foreground Dice in determined.json
	}{
		"one object a case":       {"hippocampus_", "single_object_cases/determined.json", 0.8511012481138109, 0.851557638696331},
		"mosaics of many objects": {"", "determined.json", 0.8110943128147263, 0.8110943128147263},
	} {
		t.Run(name, func(t *testing.T) {
			want := Postprocessing{}
			if c.prefix != "" {
				var err error
				want, err = ReadPostprocessing(writeForm(t, filepath.Join(dir, "postprocessing", c.determined)))
				require.NoError(t, err)
			}
			pairs := pairsOf(t, filepath.Join(dir, "small3d_no_tta"), filepath.Join(dir, "labels"), c.prefix)
			d, err := Decide(t.Context(), pairs, []int{1, 2}, []int{1, 2}, FolderOptions{})
			require.NoError(t, err)
			assert.ElementsMatch(t, want, d.Postprocessing)
			assert.InDelta(t, c.before, d.Before.ForegroundMean.Dice, 1e-9)
			assert.InDelta(t, c.after, d.After.ForegroundMean.Dice, 1e-9)
		})
	}
}

// writeForm copies a file of the data to a folder of its own, as a user would.
func writeForm(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	to := filepath.Join(t.TempDir(), "postprocessing.json")
	require.NoError(t, os.WriteFile(to, b, 0o600))
	return to
}

func TestPostprocessedLabelsEqualThoseOfNNUNet(t *testing.T) {
	dir := filepath.Join(dataDir(t), "golden", "predict")
	for folder, p := range map[string]Postprocessing{
		"largest_all_foreground": {{1, 2}},
		"largest_per_label":      {{1}, {2}},
		"single_object_cases":    {{1, 2}},
		"applied":                {},
	} {
		files, err := filepath.Glob(filepath.Join(dir, "postprocessing", folder, "*.nii.gz"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, f := range files {
			want, err := scan.ReadLabels(f)
			require.NoError(t, err)
			got, err := scan.ReadLabels(filepath.Join(dir, "small3d_no_tta", filepath.Base(f)))
			require.NoError(t, err)
			p.Apply(got)
			assert.Equal(t, want.Data, got.Data, "%s %s", folder, filepath.Base(f))
		}
	}
}

func TestPostprocessingIsReadAsItWasWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "postprocessing.json")
	for _, p := range []Postprocessing{{}, {{1, 2, 3}, {2}}} {
		require.NoError(t, p.Write(file))
		got, err := ReadPostprocessing(file)
		require.NoError(t, err)
		assert.Equal(t, p, got)
	}
}

// TestPicklesAreThoseThatNNUNetHasApplied compares with files that bench/peers/postprocessing.py
// gave to nnUNetv2_apply_postprocessing, which made of them what it makes of its own.
func TestPicklesAreThoseThatNNUNetHasApplied(t *testing.T) {
	for name, p := range map[string]Postprocessing{
		"largest_all_foreground": {{1, 2}},
		"largest_per_label":      {{1}, {2}},
		"applied":                {},
	} {
		want, err := os.ReadFile(filepath.Join("testdata", "postprocessing", name+".pkl"))
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "postprocessing.pkl")
		require.NoError(t, p.WritePickle(file))
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, want, got, name)
	}
}

func TestBadPostprocessingIsAnError(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                           "wanted nnU-Net's",
		`{}`:                           "no postprocessing_fns",
		`null`:                         "no postprocessing_fns",
		`{"postprocessing_fns":["x"]}`: "as many",
		`{"postprocessing_fns":["fill"],"postprocessing_kwargs":[{}]}`:                                                                                             "unknown",
		`{"postprocessing_fns":["` + keepLargest + `"],"postprocessing_kwargs":[{"labels_or_regions":0}]}`:                                                         "wanted 1 to 254",
		`{"postprocessing_fns":["` + keepLargest + `"],"postprocessing_kwargs":[{"labels_or_regions":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}]}`: "a list of them",
	} {
		_, err := parsePostprocessing([]byte(text))
		assert.ErrorContains(t, err, want)
	}
}

func TestEqualComponentsAllStay(t *testing.T) {
	l := volume.NewLabels(volume.Grid{Shape: [3]int{1, 1, 7}})
	copy(l.Data, []uint8{1, 0, 2, 2, 0, 0, 1})
	Postprocessing{{1}}.Apply(l)
	assert.Equal(t, []uint8{1, 0, 2, 2, 0, 0, 1}, l.Data)
	Postprocessing{{1, 2}}.Apply(l)
	assert.Equal(t, []uint8{0, 0, 2, 2, 0, 0, 0}, l.Data)
}

func FuzzPostprocessingIsReadOrIsAnError(f *testing.F) {
	f.Add([]byte(`{"postprocessing_fns":["` + keepLargest + `"],"postprocessing_kwargs":[{"labels_or_regions":[1,[2,3]]}]}`))
	f.Add([]byte(`{"postprocessing_fns":[],"postprocessing_kwargs":[],"x":NaN}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePostprocessing(b)
		if err != nil {
			return
		}
		l := volume.NewLabels(volume.Grid{Shape: [3]int{1, 2, 2}})
		copy(l.Data, []uint8{1, 2, 3, 255})
		p.Apply(l)
	})
}
