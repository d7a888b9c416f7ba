package metric

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/gounet/gounet/core/nifti"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// dataDir is the folder of the shared test data, or skips the test.
func dataDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: it names the folder with the shared test data")
	}
	return dir
}

// equalScores compares overlap: counts exactly, ratios to golden's 1e-9.
func equalScores(t *testing.T, want, got Scores, counts float64) {
	t.Helper()
	for _, f := range fields {
		switch a, b := *f.of(&want), *f.of(&got); {
		case f.extra:
		case math.IsNaN(a):
			assert.True(t, math.IsNaN(b), f.key)
		case f.count:
			assert.InDelta(t, a, b, counts, f.key)
		default:
			assert.InDelta(t, a, b, 1e-9, f.key)
		}
	}
}

func TestSummariesEqualThoseOfNNUNet(t *testing.T) {
	data := dataDir(t)
	golden := filepath.Join(data, "golden")
	results := filepath.Join(golden, "nnunetv2_results", "Dataset004_Hippocampus")
	tested := 0
	for _, c := range []struct{ glob, ref string }{
		{filepath.Join(golden, "predict", "*", "summary.json"), filepath.Join(golden, "predict", "labels")},
		{filepath.Join(results, "*", "fold_0", "validation", "summary.json"), filepath.Join(data, "msd_task04_hippocampus", "labelsTr")},
	} {
		paths, err := filepath.Glob(c.glob)
		require.NoError(t, err)
		for _, path := range paths {
			tested++
			t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
				want, err := ReadSummary(path)
				require.NoError(t, err)
				got, err := Evaluate(context.Background(), c.ref, filepath.Dir(path), []int{1, 2}, FolderOptions{Subset: true})
				require.NoError(t, err)
				require.Equal(t, want.Targets, got.Targets)
				require.Len(t, got.Cases, len(want.Cases))
				for i, a := range want.Cases {
					b := got.Cases[i]
					require.Equal(t, filepath.Base(a.PredictionFile), filepath.Base(b.PredictionFile))
					for j := range a.Scores {
						equalScores(t, a.Scores[j], b.Scores[j], 0)
					}
				}
				for i := range want.Mean {
					equalScores(t, want.Mean[i], got.Mean[i], 1e-9)
				}
				equalScores(t, want.ForegroundMean, got.ForegroundMean, 1e-9)
			})
		}
	}
	assert.Equal(t, 7, tested)
}

func TestEncodeWritesTheBytesOfNNUNet(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(dataDir(t), "planner_oracle", "*", "*", "*_summary.json"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		s, err := ReadSummary(path)
		require.NoError(t, err)
		var got bytes.Buffer
		require.NoError(t, s.Encode(&got))
		require.Equal(t, string(bytes.TrimRight(want, "\n")), got.String(), path)

		// The means follow from the cases.
		again := Summarize(s.Targets, s.Cases, false)
		for i := range s.Mean {
			equalScores(t, s.Mean[i], again.Mean[i], 1e-9*s.Mean[i].TN)
		}
		equalScores(t, s.ForegroundMean, again.ForegroundMean, 1e-9*s.ForegroundMean.TN)
	}
	t.Logf("%d files", len(paths))
}

func TestDistancesEqualTheChallengesOwn(t *testing.T) {
	dir := filepath.Join(dataDir(t), "abdomen_ct")
	b, err := os.ReadFile(filepath.Join(dir, "expected_metrics.json"))
	require.NoError(t, err)
	var want struct {
		Recomputed struct {
			Dice         float64 `json:"dice"`
			ASSD         float64 `json:"assd_mm"`
			MSSD         float64 `json:"mssd_mm"`
			RefVoxels    float64 `json:"ref_voxels"`
			PredVoxels   float64 `json:"seg_voxels"`
			Intersection float64 `json:"intersection"`
			RefBorder    int     `json:"ref_border"`
			PredBorder   int     `json:"seg_border"`
			HD95ToRef    float64 `json:"hd95_seg_to_ref"`
			HD95ToPred   float64 `json:"hd95_ref_to_seg"`
		} `json:"recomputed"`
	}
	require.NoError(t, json.Unmarshal(b, &want))
	w := want.Recomputed
	ref, _, err := nifti.ReadLabels(filepath.Join(dir, "chaos_liver_ref.nii.gz"))
	require.NoError(t, err)
	pred, _, err := nifti.ReadLabels(filepath.Join(dir, "chaos_liver_seg_sample.nii.gz"))
	require.NoError(t, err)
	scores, err := Score(ref, pred, Targets([]int{1}), Options{Surface: true, Tolerance: 2})
	require.NoError(t, err)
	s := scores[0]
	t.Logf("%+v", s)
	assert.InDelta(t, w.Dice, s.Dice, 1e-12)
	assert.Equal(t, []float64{w.RefVoxels, w.PredVoxels, w.Intersection}, []float64{s.NRef, s.NPred, s.TP})
	const rel = 1e-6 // squared distances are float32, the spacing in the file too
	assert.InEpsilon(t, w.ASSD, s.ASSD, rel)
	assert.InEpsilon(t, w.MSSD, s.HD, rel)
	assert.InEpsilon(t, math.Max(w.HD95ToRef, w.HD95ToPred), s.HD95, rel)
	assert.InEpsilon(t, w.RefVoxels*0.7265625*0.7265625*2/1000, s.VolumeRef, rel)

	d := SurfaceDistances(ref, pred, Target{1})
	assert.Len(t, d.ToPred, w.RefBorder)
	assert.Len(t, d.ToRef, w.PredBorder)
	assert.InEpsilon(t, w.HD95ToRef, Percentile(d.ToRef, 95), rel)
	assert.InEpsilon(t, w.HD95ToPred, Percentile(d.ToPred, 95), rel)
}

func BenchmarkSurface(b *testing.B) {
	dir := filepath.Join(dataDir(b), "abdomen_ct")
	ref, _, err := nifti.ReadLabels(filepath.Join(dir, "chaos_liver_ref.nii.gz"))
	require.NoError(b, err)
	pred, _, err := nifti.ReadLabels(filepath.Join(dir, "chaos_liver_seg_sample.nii.gz"))
	require.NoError(b, err)
	for b.Loop() {
		_, err := Score(ref, pred, Targets([]int{1}), Options{Surface: true, Tolerance: 2})
		require.NoError(b, err)
	}
}
