package main

import (
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
)

// tinyDataset is a data set of six hippocampi with two folds, two scans to label,
// and a work folder whose plan has a cascade of small networks.
func tinyDataset(t *testing.T) (dir, work string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "Dataset777_Tiny")
	scans, err := filepath.Glob(filepath.Join(hippocampus, "imagesTr", "*.nii.gz"))
	require.NoError(t, err)
	var ids []string
	for i, from := range scans[:8] {
		id := "tiny_" + string(rune('0'+i))
		folder := "imagesTr"
		if i >= 6 {
			folder = "imagesTs"
		} else {
			ids = append(ids, id)
			copyFile(t, filepath.Join(hippocampus, "labelsTr", filepath.Base(from)), filepath.Join(dir, "labelsTr", id+".nii.gz"))
		}
		copyFile(t, from, filepath.Join(dir, folder, id+"_0000.nii.gz"))
	}
	writeJSON(t, filepath.Join(dir, "dataset.json"), map[string]any{
		"channel_names": map[string]string{"0": "MRI"}, "labels": map[string]int{"background": 0, "Anterior": 1, "Posterior": 2},
		"numTraining": 6, "file_ending": ".nii.gz",
	})
	writeJSON(t, filepath.Join(dir, "splits_final.json"), []map[string][]string{
		{"train": ids[:3], "val": ids[3:]}, {"train": ids[3:], "val": ids[:3]},
	})
	work = filepath.Join(t.TempDir(), "work")
	got := gounet(t, "plan", dir, "--work", work)
	require.Equal(t, exitOK, got.code, got.err)
	file := filepath.Join(work, plan.FileName)
	p, err := plan.Load(file)
	require.NoError(t, err)
	full := *p.Configuration(plan.ConfigFullRes)
	full.Patch = [3]int{16, 24, 16}
	low, cascade := full, full
	low.Name, low.Next, low.Spacing, low.Patch = plan.ConfigLowRes, plan.ConfigCascade, [3]float64{2, 2, 2}, [3]int{8, 16, 8}
	cascade.Name, cascade.Previous = plan.ConfigCascade, plan.ConfigLowRes
	p.Configurations = []plan.Configuration{low, full, cascade}
	require.NoError(t, p.Save(file))
	return dir, work
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o777))
	require.NoError(t, os.WriteFile(to, b, 0o666))
}

func writeJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
	require.NoError(t, os.WriteFile(path, b, 0o666))
}

// TestACascadeIsTrainedChosenAndUsed goes the whole way in two parts, as two machines
// would, and asks for the labels of a scan by hand in the end.
func TestACascadeIsTrainedChosenAndUsed(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir, work := tinyDataset(t)
	early := gounet(t, "train", dir, plan.ConfigCascade, "--work", work)
	assert.Equal(t, exitError, early.code)
	assert.Contains(t, early.err, "the first stage is not trained and validated, folds 0, 1")

	args := append([]string{"run", dir, "--work", work, "--folds", "0,1"}, short...)
	first := gounet(t, append(args, "--part", "1/2")...)
	require.Equal(t, exitOK, first.code, first.err)
	assert.Contains(t, first.out, "of other parts not yet")
	assert.NoFileExists(t, filepath.Join(work, bestFile))
	second := gounet(t, append(args, "--part", "2/2")...)
	require.Equal(t, exitOK, second.code, second.err)
	whole := gounet(t, append(args, "--part", "1/2")...) // what waited for part 2
	require.Equal(t, exitOK, whole.code, whole.err)

	b, err := os.ReadFile(filepath.Join(work, bestFile))
	require.NoError(t, err)
	var best selection
	require.NoError(t, json.Unmarshal(b, &best))
	assert.Len(t, best.Candidates, 6, "three configurations and three pairs")
	for i, c := range best.Candidates {
		assert.Equal(t, 6, c.Cases)
		assert.True(t, i == 0 || best.Candidates[i-1].Dice >= c.Dice, "the best first")
	}
	assert.Equal(t, best.Candidates[0].Configurations, best.Best)
	_, err = metric.ReadPostprocessing(filepath.Join(work, postprocessingFile))
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(work, pickledFile))
	for _, id := range []string{"tiny_6", "tiny_7"} {
		assert.FileExists(t, filepath.Join(work, predictionsFolder, id+".nii.gz"))
	}
	m, err := checkpoint.Open(filepath.Join(work, plan.ConfigCascade, "fold_0"))
	require.NoError(t, err)
	c, err := m.Config()
	require.NoError(t, err)
	assert.Equal(t, 3, m.Plan.InputChannels(c))

	// By hand, the first stage found beside the second, and given as labels.
	scan := filepath.Join(dir, "imagesTs", "tiny_6_0000.nii.gz")
	found, given := filepath.Join(t.TempDir(), "found"), filepath.Join(t.TempDir(), "given")
	got := gounet(t, "predict", "--model", filepath.Join(work, plan.ConfigCascade), "--input", scan, "--output", found)
	require.Equal(t, exitOK, got.code, got.err)
	got = gounet(t, "predict", "--model", filepath.Join(work, plan.ConfigCascade), "--input", scan, "--output", given, "--previous", filepath.Join(found, plan.ConfigLowRes))
	require.Equal(t, exitOK, got.code, got.err)
	x, _, err := nifti.ReadLabels(filepath.Join(found, "tiny_6.nii.gz"))
	require.NoError(t, err)
	y, _, err := nifti.ReadLabels(filepath.Join(given, "tiny_6.nii.gz"))
	require.NoError(t, err)
	assert.Equal(t, x.Data, y.Data)

	// Of one file, far from the others.
	one, again := filepath.Join(t.TempDir(), "cascade.gounet"), filepath.Join(t.TempDir(), "again")
	got = gounet(t, "export", filepath.Join(work, plan.ConfigCascade), "--to", "zip", "--output", one)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "needs the labels of 3d_lowres: which is in the file, too")
	got = gounet(t, "info", one)
	assert.Regexp(t, `first stage +3d_lowres, 2 folds, \d+ parameters, in the same model`, got.out)
	got = gounet(t, "predict", "--model", one, "--input", scan, "--output", again)
	require.Equal(t, exitOK, got.code, got.err)
	y, _, err = nifti.ReadLabels(filepath.Join(again, "tiny_6.nii.gz"))
	require.NoError(t, err)
	assert.Equal(t, x.Data, y.Data)
	copyFile(t, scan, filepath.Join(again, "inputs", filepath.Base(scan)))
	got = gounet(t, "verify", again, one)
	assert.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "as the reference")
	folder := filepath.Join(t.TempDir(), "folder")
	got = gounet(t, "import", one, "--output", folder)
	require.Equal(t, exitOK, got.code, got.err)
	assert.FileExists(t, filepath.Join(folder, "previous", "plan.json"))
	got = gounet(t, "export", folder, "--to", "nnunetv2", "--output", filepath.Join(t.TempDir(), "results"))
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "exported  3d_lowres")
	got = gounet(t, "export", filepath.Join(work, plan.ConfigCascade), "--to", "zip", "--output", one, "--previous", filepath.Join(work, plan.ConfigFullRes))
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "is a model of 3d_fullres, wanted one of 3d_lowres")

	// The averaged probabilities of two folders.
	folders := []string{filepath.Join(work, plan.ConfigLowRes, "fold_0", validationFolder), filepath.Join(work, plan.ConfigFullRes, "fold_0", validationFolder)}
	mixed := filepath.Join(t.TempDir(), "mixed")
	got = gounet(t, "ensemble", folders[0], folders[1], "--output", mixed, "--plan", filepath.Join(work, plan.FileName))
	require.Equal(t, exitOK, got.code, got.err)
	name := "tiny_3.nii.gz"
	x, _, err = nifti.ReadLabels(filepath.Join(work, ensemblesFolder, plan.ConfigLowRes+"+"+plan.ConfigFullRes, name))
	require.NoError(t, err)
	y, _, err = nifti.ReadLabels(filepath.Join(mixed, name))
	require.NoError(t, err)
	assert.Equal(t, x.Data, y.Data, "the command and run put the same together")
}

// TestACascadeOfNNUNetIsUsedAsItIs labels a scan with two results folders of nnU-Net,
// of which the second is named, and compares both stages with nnUNetv2_predict.
func TestACascadeOfNNUNetIsUsedAsItIs(t *testing.T) {
	made := "../../core/predict/testdata/cascade"
	differ := func(want, got string) (n int) {
		x, _, err := nifti.ReadLabels(filepath.Join(made, want, "scan.nii.gz"))
		require.NoError(t, err)
		y, _, err := nifti.ReadLabels(filepath.Join(got, "scan.nii.gz"))
		require.NoError(t, err)
		for i, v := range x.Data {
			if y.Data[i] != v {
				n++
			}
		}
		return n
	}
	const few = 60 // of 53,760: nnU-Net adds up in half precision, see core/predict
	out, given := filepath.Join(t.TempDir(), "labels"), filepath.Join(t.TempDir(), "given")
	args := []string{"predict", "--model", filepath.Join(made, "T__P__"+plan.ConfigCascade), "--input", filepath.Join(made, "scan_0000.nii.gz"), "--output"}
	got := gounet(t, append(args, out)...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Less(t, differ("lowres", filepath.Join(out, plan.ConfigLowRes)), few, "the first stage was found and used")
	got = gounet(t, append(args, given, "--previous", filepath.Join(made, "lowres"))...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Less(t, differ("cascade", given), few, "of the very labels of the first stage")

	lost := filepath.Join(t.TempDir(), "alone")
	require.NoError(t, os.CopyFS(lost, os.DirFS(filepath.Join(made, "T__P__"+plan.ConfigCascade))))
	got = gounet(t, "predict", "--model", lost, "--input", filepath.Join(made, "scan_0000.nii.gz"), "--output", out)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "as --previous")
	single := filepath.Join(t.TempDir(), "single.gounet")
	got = gounet(t, "export", lost, "--to", "zip", "--output", single)
	assert.Equal(t, exitUsage, got.code, "half a cascade is not delivered")
	assert.NoFileExists(t, single)
	got = gounet(t, "import", lost, "--output", single)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.err, "imported is the second stage alone")
	both := filepath.Join(t.TempDir(), "both.gounet")
	got = gounet(t, "import", filepath.Join(made, "T__P__"+plan.ConfigCascade), "--output", both)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "in the same model")
}
