package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

func TestAFirstStageThatIsTrainedAnewOutdatesTheSecond(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir, work := tinyDataset(t)
	args := append([]string{"run", dir, "--work", work, "--folds", "0,1", "--configs", "3d_lowres,3d_cascade_fullres", "--no-ensembles"}, short...)
	got := gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	fold0, fold1 := filepath.Join(work, plan.ConfigCascade, "fold_0"), filepath.Join(work, plan.ConfigCascade, "fold_1")
	was, err := train.BeforeOf(fold0)
	require.NoError(t, err)
	require.Len(t, was, 2, "both networks of the first stage have labelled cases of it")
	stat := func(path ...string) os.FileInfo {
		st, err := os.Stat(filepath.Join(path...))
		require.NoError(t, err)
		return st
	}
	next := filepath.Join(work, plan.ConfigLowRes, nextStageFolder, plan.ConfigCascade)
	ofFold0, ofFold1 := stat(next, "tiny_3"+dataset.Ending), stat(next, "tiny_0"+dataset.Ending) // held out there
	weights := stat(fold0, checkpoint.WeightsFile)

	// The same network again changes nothing, also if its file is newer.
	low := filepath.Join(work, plan.ConfigLowRes, "fold_1")
	again := append([]string{"train", dir, plan.ConfigLowRes, "--work", work, "--fold", "1"}, short...)
	require.NoError(t, os.RemoveAll(low))
	got = gounet(t, again...)
	require.Equal(t, exitOK, got.code, got.err)
	got = gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.NotContains(t, got.err, "outdated")
	assert.True(t, os.SameFile(weights, stat(fold0, checkpoint.WeightsFile)))
	assert.True(t, os.SameFile(ofFold1, stat(next, "tiny_0"+dataset.Ending)))

	// Another one does.
	require.NoError(t, os.RemoveAll(low))
	got = gounet(t, append(slices.Clone(again), "--seed", "7")...)
	require.Equal(t, exitOK, got.code, got.err)
	got = gounet(t, append([]string{"train", dir, plan.ConfigCascade, "--work", work, "--fold", "0", "--resume"}, short...)...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "fold_0 was begun with the labels of other networks: 3d_lowres was trained anew since, fold 1: remove that folder to train again, or choose another --output")
	assert.True(t, os.SameFile(weights, stat(fold0, checkpoint.WeightsFile)), "nothing is touched")

	got = gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	for _, fold := range []string{"fold_0", "fold_1"} {
		assert.Regexp(t, "outdated  .*"+fold+" was begun with the labels of other networks.*it is trained again; what was there is kept as .*outdated.*"+fold, got.err)
		assert.FileExists(t, filepath.Join(work, plan.ConfigCascade, outdatedFolder, fold, checkpoint.WeightsFile))
	}
	assert.False(t, os.SameFile(weights, stat(fold0, checkpoint.WeightsFile)))
	assert.False(t, os.SameFile(ofFold1, stat(next, "tiny_0"+dataset.Ending)), "labelled by the new network")
	assert.True(t, os.SameFile(ofFold0, stat(next, "tiny_3"+dataset.Ending)), "the other network is the same")
	now, err := train.BeforeOf(fold1)
	require.NoError(t, err)
	assert.Equal(t, was["0"], now["0"])
	assert.NotEqual(t, was["1"], now["1"])

	weights = stat(fold0, checkpoint.WeightsFile)
	got = gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.NotContains(t, got.err, "outdated")
	assert.True(t, os.SameFile(weights, stat(fold0, checkpoint.WeightsFile)), "once is enough")
}
