package metric

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMeansLeaveOutNaNAndTheForegroundMeanDoesNot(t *testing.T) {
	nan := math.NaN()
	targets := []Target{{0}, {1}, {2, 3}}
	scores := func(d ...float64) (s []Scores) {
		for _, v := range d {
			s = append(s, Scores{Dice: v, TP: 1})
		}
		return s
	}
	s := Summarize(targets, []Case{{Scores: scores(1, 0.5, nan)}, {Scores: scores(1, nan, 0.25)}, {Scores: scores(1, 1, 0.75)}}, false)
	assert.Equal(t, []float64{1, 0.75, 0.5}, []float64{s.Mean[0].Dice, s.Mean[1].Dice, s.Mean[2].Dice})
	assert.Equal(t, 0.625, s.ForegroundMean.Dice)

	s = Summarize(targets, []Case{{Scores: scores(1, 0.5, nan)}}, false)
	assert.True(t, math.IsNaN(s.Mean[2].Dice))
	assert.True(t, math.IsNaN(s.ForegroundMean.Dice), "numpy's mean, not its nanmean")
	assert.Equal(t, 1.0, s.ForegroundMean.TP)
}

// sample has what is hard to write: NaN, regions, quotes, small and large numbers.
func sample(surface bool) *Summary {
	s := Scores{Dice: 1e-5, IoU: math.NaN(), TP: 3, NRef: 1e17, HD95: 1.5, HD: 2, ASSD: math.NaN(), SurfaceDice: 0.5, VolumeRef: 3, VolumePred: 0.1}
	if !surface {
		s.HD95, s.HD, s.ASSD, s.SurfaceDice, s.VolumeRef, s.VolumePred = math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()
	}
	return &Summary{
		Targets: []Target{{1, 2}, {2}, {10}}, Surface: surface,
		Mean: []Scores{s, s, s}, ForegroundMean: s,
		Cases: []Case{{ReferenceFile: `NaN "é" \`, PredictionFile: "a<b😀.nii", Scores: []Scores{s, s, s}}},
	}
}

func TestSummariesReadBackTheSame(t *testing.T) {
	for _, surface := range []bool{false, true} {
		want := sample(surface)
		path := filepath.Join(t.TempDir(), "summary.json")
		require.NoError(t, want.Write(path))
		got, err := ReadSummary(path)
		require.NoError(t, err)
		var a, b bytes.Buffer
		require.NoError(t, want.Encode(&a))
		require.NoError(t, got.Encode(&b))
		assert.Equal(t, a.String(), b.String())
		assert.Equal(t, want.Targets, got.Targets)
		assert.Equal(t, want.Surface, got.Surface)
		assert.Equal(t, want.Cases[0].ReferenceFile, got.Cases[0].ReferenceFile)
		assert.Equal(t, want.Cases[0].PredictionFile, got.Cases[0].PredictionFile)
	}
}

func TestNumbersAreWrittenAsPythonWritesThem(t *testing.T) {
	for want, v := range map[string]float64{
		"0.0": 0, "3134.0": 3134, "0.1": 0.1, "1e-05": 1e-5, "0.0001": 1e-4, "1e+16": 1e16, "9999999999999998.0": 9999999999999998,
		"1.5e-07": 1.5e-7, "NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1), "0.8220640428051196": 0.8220640428051196,
	} {
		assert.Equal(t, want, pythonFloat(v))
	}
	assert.Equal(t, "\"NaN \\\"\\u00e9\\\" <\\ud83d\\ude00\"", quote(`NaN "é" <😀`))
}

func TestBrokenSummariesAreErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "not a summary.json",
		"{}":                     "no key mean",
		`{"mean": {"x": {}}}`:    "neither a label nor a region",
		`{"mean": {"(1": {}}}`:   "neither a label nor a region",
		`{"mean": {"1": "NaN"}}`: "not a summary.json",
		`{"mean": {"1": {}}, "metric_per_case": [{"metrics": {}, "prediction_file": "p"}]}`: "case 0 (p) has no metrics of 1",
	} {
		_, err := Decode([]byte(in))
		assert.ErrorContains(t, err, want, in)
	}
}

func FuzzDecode(f *testing.F) {
	var b bytes.Buffer
	require.NoError(f, sample(true).Encode(&b))
	f.Add(b.Bytes())
	f.Add([]byte(`{"mean": {"(1, 2)": {"Dice": -Infinity}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			return
		}
		var one, two bytes.Buffer
		require.NoError(t, s.Encode(&one))
		again, err := Decode(one.Bytes())
		require.NoError(t, err)
		require.NoError(t, again.Encode(&two))
		require.Equal(t, one.String(), two.String())
	})
}

// folders writes cases of both folders as label maps.
func folders(t *testing.T, ref, pred map[string]*volume.Labels) (refDir, predDir string) {
	t.Helper()
	refDir, predDir = t.TempDir(), t.TempDir()
	for dir, cases := range map[string]map[string]*volume.Labels{refDir: ref, predDir: pred} {
		for name, l := range cases {
			require.NoError(t, nifti.WriteLabels(filepath.Join(dir, name), l, nil))
		}
	}
	return refDir, predDir
}

func TestAllProblemsComeAtOnce(t *testing.T) {
	g, other := grid(4, 4, 4), grid(4, 4, 5)
	moved := grid(4, 4, 4)
	moved.Affine = [4][4]float64{{1, 0, 0, 5}, {0, 1, 0, 0}, {0, 0, 1, 0}, {0, 0, 0, 1}}
	l, m, n := cube(g, [3]int{}, 2), volume.NewLabels(other), volume.NewLabels(moved)
	refDir, predDir := folders(t,
		map[string]*volume.Labels{"good.nii": l, "missing.nii": l, "shape.nii.gz": l, "moved.nii": l, "broken.nii": l},
		map[string]*volume.Labels{"good.nii.gz": l, "extra.nii": l, "shape.nii.gz": m, "moved.nii": n})
	require.NoError(t, os.WriteFile(filepath.Join(predDir, "broken.nii"), []byte("no"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(predDir, "summary.json"), []byte("{}"), 0o600))
	_, err := Evaluate(context.Background(), refDir, predDir, []int{1}, FolderOptions{})
	var problems Problems
	require.ErrorAs(t, err, &problems)
	assert.Len(t, problems, 5)
	for _, want := range []string{
		"5 problems", "missing.nii has no prediction", "extra.nii has no reference", "shape: reference has shape [4 4 4], prediction [5 4 4]",
		"moved: affines of reference and prediction place a corner of the volume 5 mm apart", "broken.nii: header ends after 2 of 348 bytes",
	} {
		assert.ErrorContains(t, err, want)
	}
}

func TestFoldersThatHoldNoCasesAreErrors(t *testing.T) {
	l := volume.NewLabels(grid(1, 1, 1))
	refDir, predDir := folders(t, map[string]*volume.Labels{"a.nii": l, "a.nii.gz": l}, nil)
	for want, dirs := range map[string][2]string{
		"one case twice":            {refDir, refDir},
		"has no .nii":               {predDir, predDir},
		"no such file or directory": {filepath.Join(refDir, "absent"), predDir},
	} {
		_, err := Evaluate(context.Background(), dirs[0], dirs[1], []int{1}, FolderOptions{})
		assert.ErrorContains(t, err, want)
	}
	_, err := Evaluate(context.Background(), refDir, predDir, nil, FolderOptions{})
	assert.ErrorContains(t, err, "no labels")
}

func TestWorkersDoNotChangeTheSummary(t *testing.T) {
	ref, pred := map[string]*volume.Labels{}, map[string]*volume.Labels{}
	g := grid(8, 8, 8, 2, 1, 1)
	for i, name := range []string{"a.nii", "b.nii", "c.nii", "d.nii", "e.nii"} {
		ref[name] = cube(g, [3]int{i % 3, 1, 2}, 4)
		pred[name] = cube(g, [3]int{1, i % 4, 2}, 3)
	}
	delete(pred, "c.nii")
	refDir, predDir := folders(t, ref, pred)
	var want string
	for _, workers := range []int{1, 2, 4} {
		seen := 0
		o := FolderOptions{
			Options: Options{Surface: true, Tolerance: 1}, Regions: [][]int{{1, 2}}, Subset: true, Workers: workers,
			Progress: func(done, total int, c Case) {
				seen++
				assert.Equal(t, seen, done)
				assert.Equal(t, 4, total)
				assert.Len(t, c.Scores, 2)
			},
		}
		s, err := Evaluate(context.Background(), refDir, predDir, []int{1}, o)
		require.NoError(t, err)
		assert.Equal(t, 4, seen)
		assert.Equal(t, s.Mean[0], s.Mean[1], "no voxel has label 2")
		var b bytes.Buffer
		require.NoError(t, s.Encode(&b))
		if want == "" {
			want = b.String()
		}
		assert.Equal(t, want, b.String())
	}
}

func TestCancellingStopsBetweenCases(t *testing.T) {
	l := volume.NewLabels(grid(2, 2, 2))
	cases := map[string]*volume.Labels{"a.nii": l, "b.nii": l, "c.nii": l, "d.nii": l}
	refDir, predDir := folders(t, cases, cases)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := 0
	_, err := Evaluate(ctx, refDir, predDir, []int{1}, FolderOptions{Workers: 1, Progress: func(n, _ int, _ Case) {
		done = n
		cancel()
	}})
	require.ErrorIs(t, err, context.Canceled)
	assert.Less(t, done, 4)
}

func TestLabelMapsThatAreNoneAreNamed(t *testing.T) {
	g := grid(2, 2, 2)
	l := volume.NewLabels(g)
	refDir, predDir := folders(t, map[string]*volume.Labels{"a.nii": l, "b.nii": l}, nil)
	for _, name := range []string{"a.nii", "b.nii"} {
		im := volume.NewImage(g, 1)
		im.Data[3] = 0.5
		require.NoError(t, nifti.WriteImage(filepath.Join(predDir, name), im, nil))
	}
	_, err := Evaluate(context.Background(), refDir, predDir, []int{1}, FolderOptions{})
	var problems Problems
	require.ErrorAs(t, err, &problems)
	assert.Len(t, problems, 2)
	assert.ErrorContains(t, err, "a.nii: value 0.5 at voxel (x 1, y 1, z 0)")
}
