package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

// patients puts two cases of the hippocampus in a group each, other folds than nnU-Net's.
func patients(t *testing.T) string {
	t.Helper()
	raw, err := dataset.Open(hippocampus)
	require.NoError(t, err)
	groups := map[string]string{}
	for i, c := range raw.Cases {
		groups[c.ID] = string(rune('a' + i/2))
	}
	file := filepath.Join(t.TempDir(), "patients.json")
	writeJSON(t, file, groups)
	return file
}

func TestATrainingIsNotResumedWithWhatItHeldOut(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work := smallWork(t)
	args := append([]string{"train", hippocampus, "3d_fullres", "--work", work, "--no-validation", "--resume"}, short...)
	got := gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	dir := filepath.Join(work, plan.ConfigFullRes, "fold_0")
	began, err := train.CasesOf(dir)
	require.NoError(t, err)
	assert.NotEmpty(t, began.Train)
	assert.NotEmpty(t, began.Val)
	got = gounet(t, append(slices.Clone(args), "--splits", patients(t))...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "was begun with other cases")
	assert.Contains(t, got.err, "was held out and is trained on")
	assert.Contains(t, got.err, "choose another --output")
	got = gounet(t, args...)
	assert.Equal(t, exitOK, got.code, got.err)
	assert.NotContains(t, got.err, "warning", "nothing has changed")
	// A file that is newer than the network is named.
	weights := filepath.Join(dir, checkpoint.WeightsFile)
	require.NoError(t, os.Chtimes(weights, time.Unix(1, 0), time.Unix(1, 0)))
	got = gounet(t, append(slices.Clone(args), "-q")...)
	assert.Equal(t, exitOK, got.code, got.err)
	assert.Regexp(t, `warning   \S+ and \d+ other files changed after .*fold_0 was trained`, got.err, "also under --quiet")
	// One that was interrupted goes on with what they are now: it says so.
	args = append(args, "--output", filepath.Join(work, "half"), "--epochs", "2")
	got = gounet(t, append(slices.Clone(args), "--max-time", "1ns")...)
	require.Equal(t, exitOK, got.code, got.err)
	weights = filepath.Join(work, "half", checkpoint.WeightsFile)
	require.NoError(t, os.Chtimes(weights, time.Unix(1, 0), time.Unix(1, 0)))
	got = gounet(t, append(args, "-q")...)
	assert.Equal(t, exitOK, got.code, got.err)
	assert.Regexp(t, `warning   .*half was begun: the training goes on with them as they are now`, got.err)
}

func TestRunNoticesOtherFoldsAndCases(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work := smallWork(t)
	args := append([]string{"run", hippocampus, "--work", work, "--folds", "0"}, short...)
	got := gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	got = gounet(t, append(slices.Clone(args), "--splits", patients(t))...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "3d_fullres, fold 0: ")
	assert.Contains(t, got.err, "was begun with other cases")
	assert.Contains(t, got.err, "choose another --work", "run has no --output")
	got = gounet(t, append(slices.Clone(args), "--width", "4")...)
	assert.Contains(t, got.err, "choose another --work")
	assert.NotContains(t, got.err, "--output")
	for want, flags := range map[string][]string{
		"was begun with --seed 0, not 4":               {"--seed", "4"},
		"was begun with --precision f32, not bf16":     {"--precision", "bf16"},
		"was begun without --pretrained: leave it out": {"--pretrained", filepath.Join(work, plan.ConfigFullRes, "fold_0")},
	} {
		got = gounet(t, append(slices.Clone(args), flags...)...)
		assert.Equal(t, exitUsage, got.code, want)
		assert.Contains(t, got.err, want)
	}
	got = gounet(t, append(slices.Clone(args), "--epochs", "2", "--warmup", "1")...)
	assert.Contains(t, got.err, "warmup 0 instead of 1")
	got = gounet(t, append(slices.Clone(args), "--seed", "0")...)
	assert.Equal(t, exitOK, got.code, got.err)
}

func TestThePartThatEndsLastFindsWhatEndedMeanwhile(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work := smallWork(t)
	part := func(i string) answer {
		return gounet(t, append([]string{"run", hippocampus, "--work", work, "--folds", "0,1", "--part", i}, short...)...)
	}
	got := part("1/2")
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "1 training of other parts not yet")
	// Part 2 begins while part 1 is not done, and ends when it is.
	fold0, away := filepath.Join(work, plan.ConfigFullRes, "fold_0"), filepath.Join(work, "away")
	require.NoError(t, os.Rename(fold0, away))
	second := make(chan answer)
	go func() { second <- part("2/2") }()
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(work, plan.ConfigFullRes, "fold_1", train.LockFile))
		return err == nil
	}, time.Minute, time.Millisecond)
	require.NoError(t, os.Rename(away, fold0))
	got = <-second
	assert.Equal(t, exitOK, got.code, got.err)
	assert.FileExists(t, filepath.Join(work, bestFile), got.out)
}

func TestAPlanOfOtherNamesIsNotUsed(t *testing.T) {
	dir, work := tinyDataset(t)
	for want, change := range map[string]map[string]any{
		"has labels": {"channel_names": map[string]string{"0": "MRI"}, "labels": map[string]int{"background": 0, "Anterior": 2, "Posterior": 1}},
		"channels":   {"channel_names": map[string]string{"0": "CT"}, "labels": map[string]int{"background": 0, "Anterior": 1, "Posterior": 2}},
	} {
		change["numTraining"], change["file_ending"] = 6, ".nii.gz"
		writeJSON(t, filepath.Join(dir, "dataset.json"), change)
		got := gounet(t, "preprocess", dir, "--work", work)
		assert.Equal(t, exitError, got.code)
		assert.Contains(t, got.err, want)
		assert.Contains(t, got.err, "plan again")
	}
}

func TestAReplacedTestScanIsLabelledAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir, work := tinyDataset(t)
	args := append([]string{"run", dir, "--work", work, "--folds", "0", "--configs", "3d_fullres"}, short...)
	got := gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	labels := func(id string) os.FileInfo {
		st, err := os.Stat(filepath.Join(work, predictionsFolder, plan.ConfigFullRes, id+".nii.gz"))
		require.NoError(t, err)
		return st
	}
	replaced, kept := labels("tiny_6"), labels("tiny_7")
	scan := filepath.Join(dir, "imagesTs", "tiny_6_0000.nii.gz")
	copyFile(t, filepath.Join(dir, "imagesTr", "tiny_0_0000.nii.gz"), scan)
	require.NoError(t, os.Chtimes(scan, time.Unix(1e9, 0), time.Unix(1e9, 0))) // older than the labels
	got = gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.NotEqual(t, replaced.ModTime(), labels("tiny_6").ModTime(), "it is another scan now")
	assert.Equal(t, kept.ModTime(), labels("tiny_7").ModTime())
	of, _, err := nifti.ReadLabels(filepath.Join(work, predictionsFolder, "tiny_6.nii.gz"))
	require.NoError(t, err)
	like, _, err := nifti.ReadLabels(filepath.Join(dir, "labelsTr", "tiny_0.nii.gz"))
	require.NoError(t, err)
	assert.Equal(t, like.Shape, of.Shape, "the result has the new scan's grid")
	// One that cannot be read is named in the beginning, and keeps no other from its labels.
	require.NoError(t, os.Truncate(filepath.Join(dir, "imagesTs", "tiny_7_0000.nii.gz"), 20))
	kept = labels("tiny_6")
	copyFile(t, filepath.Join(dir, "imagesTr", "tiny_1_0000.nii.gz"), scan)
	got = gounet(t, args...)
	assert.Equal(t, exitError, got.code)
	assert.Regexp(t, `warning   what cannot be labelled in the end: test scan tiny_7: `, got.err)
	assert.Contains(t, got.err, "1 of 2 cases have no labels")
	assert.Contains(t, got.out, "predicted 1 test cases")
	assert.NotEqual(t, kept.ModTime(), labels("tiny_6").ModTime())
}

func TestATestScanThatIsGoneKeepsItsStamp(t *testing.T) {
	dir := t.TempDir()
	writeJSON(t, filepath.Join(dir, scansFile), map[string]string{"gone": "as it was"})
	s := selector{w: &workspace{raw: &dataset.Raw{Test: []dataset.Case{{ID: "gone", Images: []string{filepath.Join(dir, "gone.nii.gz")}}}}}}
	now, was, err := s.stamps(dir)
	require.NoError(t, err, "the others are labelled all the same")
	assert.Equal(t, was, now)
}
