package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/metric"
)

func TestReferencesAgainstThemselvesArePerfect(t *testing.T) {
	labels := filepath.Join(hippocampus, "labelsTr")
	file := filepath.Join(t.TempDir(), "summary.json")
	got := gounet(t, "evaluate", labels, labels, "--output", file, "--surface")
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "1 Anterior", "names come from the dataset.json above the folder")
	summary, err := metric.ReadSummary(file)
	require.NoError(t, err)
	assert.Len(t, summary.Cases, 40)
	assert.InDelta(t, 1, summary.ForegroundMean.Dice, 0)
}

func TestEvaluateNamesAMissingPrediction(t *testing.T) {
	predictions := t.TempDir()
	text, err := os.ReadFile(filepath.Join(hippocampus, "labelsTr", "hippocampus_003.nii.gz"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(predictions, "hippocampus_003.nii.gz"), text, 0o666))

	got := gounet(t, "evaluate", filepath.Join(hippocampus, "labelsTr"), predictions)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "hippocampus_011")

	got = gounet(t, "evaluate", filepath.Join(hippocampus, "labelsTr"), predictions, "--subset")
	assert.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "1 case")
}

func TestLabelsComeFromTheReferencesWhereNothingNamesThem(t *testing.T) {
	alone := filepath.Join(t.TempDir(), "labels", "ours")
	require.NoError(t, os.MkdirAll(alone, 0o777))
	text, err := os.ReadFile(filepath.Join(hippocampus, "labelsTr", "hippocampus_003.nii.gz"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(alone, "a.nii.gz"), text, 0o666))

	s, err := labelsOf(alone)
	require.NoError(t, err)
	assert.Equal(t, []int{1, 2}, s.labels)
	assert.Equal(t, exitOK, gounet(t, "evaluate", alone, alone).code)
}

func TestALabelThatIsNowhereIsNamed(t *testing.T) {
	labels := filepath.Join(hippocampus, "labelsTr")
	got := gounet(t, "evaluate", labels, labels, "--labels", "1,9")
	assert.Equal(t, exitOK, got.code, "controls may have nothing of it")
	assert.Contains(t, got.err, "label 9")
}

// TestSummaryEqualsNNUNets compares with nnUNetv2_evaluate_folder.
func TestSummaryEqualsNNUNets(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("GOUNET_DATA names no folder with the reference data")
	}
	golden := filepath.Join(data, "golden", "predict")
	file := filepath.Join(t.TempDir(), "summary.json")
	got := gounet(t, "evaluate", filepath.Join(golden, "labels"), filepath.Join(golden, "small3d_tta"), "--output", file)
	require.Equal(t, exitOK, got.code, got.err)
	want, err := metric.ReadSummary(filepath.Join(golden, "small3d_tta", "summary.json"))
	require.NoError(t, err)
	have, err := metric.ReadSummary(file)
	require.NoError(t, err)
	assert.InDelta(t, want.ForegroundMean.Dice, have.ForegroundMean.Dice, 1e-9)
	require.Len(t, have.Cases, len(want.Cases))
	for i := range want.Mean {
		assert.InDelta(t, want.Mean[i].Dice, have.Mean[i].Dice, 1e-9)
		assert.InDelta(t, want.Mean[i].TP, have.Mean[i].TP, 0)
	}
}
