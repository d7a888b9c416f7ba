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
	"github.com/gounet/gounet/core/train"
)

// short are flags of a training of seconds.
var short = []string{"--epochs", "1", "--iterations", "1", "--val-iterations", "1", "--batch", "2", "--width", "2"}

func TestTrainLeavesAModelThatInfoReads(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	args := append([]string{"train", hippocampus, "3d_fullres", "--work", filepath.Join(dir, "work"), "--output", run, "--fold", "1"}, short...)
	got := gounet(t, args...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "trained   1 epoch,")

	m, err := checkpoint.Open(run)
	require.NoError(t, err)
	c, err := m.Config()
	require.NoError(t, err)
	assert.Equal(t, []int{2, 4, 8, 16}, c.Network.Features, "--width is in the model's plan")
	log, err := train.ReadLog(run)
	require.NoError(t, err)
	assert.Len(t, log, 1)

	info := gounet(t, "info", run, "--json")
	require.Equal(t, exitOK, info.code, info.err)
	var model modelInfo
	require.NoError(t, json.Unmarshal([]byte(info.out), &model))
	assert.Equal(t, "model", model.Kind)

	labels := filepath.Join(dir, "labels")
	scan := filepath.Join(hippocampus, "imagesTr", "hippocampus_003.nii.gz")
	predicted := gounet(t, "predict", "--model", run, "--input", scan, "--output", labels, "--no-mirror")
	require.Equal(t, exitOK, predicted.code, predicted.err)
	assert.Contains(t, predicted.err, "on the device", "memory is stated before it starts")
	m1, h1, err := nifti.ReadLabels(filepath.Join(labels, "hippocampus_003.nii.gz"))
	require.NoError(t, err)
	_, h2, err := nifti.ReadLabels(filepath.Join(hippocampus, "labelsTr", "hippocampus_003.nii.gz"))
	require.NoError(t, err)
	assert.Equal(t, h2.Affine, h1.Affine)
	assert.Equal(t, h2.Shape, h1.Shape)
	for _, v := range m1.Data {
		require.LessOrEqual(t, v, uint8(2))
	}
	scored := gounet(t, "evaluate", filepath.Join(hippocampus, "labelsTr"), labels, "--subset")
	assert.Equal(t, exitOK, scored.code, scored.err)
	assert.Contains(t, scored.out, "1 Anterior", "names come from the plan beside the labels")

	before, err := os.ReadFile(filepath.Join(run, train.SettingsFile))
	require.NoError(t, err)
	again := gounet(t, append(args, "--seed", "9")...)
	after, err := os.ReadFile(filepath.Join(run, train.SettingsFile))
	require.NoError(t, err)
	assert.Equal(t, before, after, "nor are its settings")
	assert.Equal(t, exitError, again.code, "a run is not overwritten")
	assert.Contains(t, again.err, "--resume")
}

// Of the CPU, whose memory is the host's, none lie there by default.
func TestCasesLieOnTheDeviceIfAskedTo(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir := t.TempDir()
	for gb, want := range map[string]string{"1": `cases     \d+ of \d+ lie on the device: `, "0": "", "-1": ""} {
		args := []string{"train", hippocampus, "3d_fullres", "--device", "cpu", "--work", filepath.Join(dir, "work"), "--output", filepath.Join(dir, gb), "--no-validation", "--resident-gb", gb}
		got := gounet(t, append(args, short...)...)
		require.Equal(t, exitOK, got.code, got.err)
		if want == "" {
			assert.NotContains(t, got.err, "lie on the device")
		} else {
			assert.Regexp(t, want, got.err)
		}
	}
}

func TestTrainNamesWhatIsWrong(t *testing.T) {
	work := t.TempDir()
	for want, args := range map[string][]string{
		`configuration "3d"`:        {"train", hippocampus, "3d", "--work", work},
		"there are 5 folds, 0 to 4": {"train", hippocampus, "3d_fullres", "--work", work, "--fold", "5"},
		`fold "x"`:                  {"train", hippocampus, "3d_fullres", "--work", work, "--fold", "x"},
		`device "gpu"`:              {"train", hippocampus, "3d_fullres", "--work", work, "--device", "gpu"},
		"--augmentation x: wanted":  {"train", hippocampus, "3d_fullres", "--work", work, "--augmentation", "x"},
		"exclude each other":        {"train", hippocampus, "3d_fullres", "--work", work, "--augmentation", "da5", "--no-augment"},
		"--optimizer x: wanted":     {"train", hippocampus, "3d_fullres", "--work", work, "--optimizer", "x"},
		`precision "f8"`:            {"train", hippocampus, "3d_fullres", "--work", work, "--precision", "f8"},
		`processor has kernels for`: {"train", hippocampus, "3d_fullres", "--work", work, "--device", "cpu:neon"},
	} {
		got := gounet(t, args...)
		assert.Equal(t, exitUsage, got.code, got.err)
		assert.Contains(t, got.err, want)
	}
}

func TestPredictNamesWhatIsWrong(t *testing.T) {
	for want, args := range map[string][]string{
		"--model is missing": {"predict", "--input", "a", "--output", "b"},
		"give one of them":   {"predict", "--model", "m", "--input", "a", "--output", "b", "--tta", "--no-mirror"},
	} {
		got := gounet(t, args...)
		assert.Equal(t, exitUsage, got.code, got.err)
		assert.Contains(t, got.err, want)
	}
	got := gounet(t, "predict", "--model", filepath.Join(t.TempDir(), "absent"), "--input", "a", "--output", "b")
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "absent")
}

// TestPredictionsEqualThoseOfNNUNet labels scans with an nnU-Net v2 results folder
// and compares with what nnUNetv2_predict made of them.
func TestPredictionsEqualThoseOfNNUNet(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("GOUNET_DATA names no folder with the reference data")
	}
	golden := filepath.Join(data, "golden")
	model := filepath.Join(golden, "nnunetv2_results", "Dataset004_Hippocampus", "nnUNetTrainer__nnUNetPlansF8__3d_fullres")
	for flag, folder := range map[string]string{"--no-mirror": "small3d_no_tta", "--no-mirror=false": "small3d_tta"} {
		labels, file := t.TempDir(), filepath.Join(t.TempDir(), "summary.json")
		got := gounet(t, "predict", "--model", model, "--output", labels, flag,
			"--input", filepath.Join(golden, "predict", "inputs", "hippocampus_017_0000.nii.gz"))
		require.Equal(t, exitOK, got.code, got.err)
		got = gounet(t, "evaluate", filepath.Join(golden, "predict", folder), labels, "--subset", "--output", file)
		require.Equal(t, exitOK, got.code, got.err)
		summary, err := metric.ReadSummary(file)
		require.NoError(t, err)
		require.Len(t, summary.Mean, 2)
		for _, m := range summary.Mean {
			assert.GreaterOrEqual(t, m.Dice, 0.999, folder)
		}
	}
}

func TestZeroIsNotTakenForNothing(t *testing.T) {
	work := t.TempDir()
	for _, flag := range []string{"epochs", "iterations", "batch", "width", "learning-rate", "checkpoint-every", "max-time"} {
		got := gounet(t, "train", hippocampus, "3d_fullres", "--work", work, "--"+flag, "0")
		assert.Equal(t, exitUsage, got.code, flag)
		assert.Contains(t, got.err, "--"+flag+" is 0")
	}
	got := gounet(t, "train", hippocampus, "3d_fullres", "--work", work, "--threads", "-1")
	assert.Equal(t, exitUsage, got.code)
	got = gounet(t, "train", hippocampus, "3d_fullres", "--work", work, "--width", "100000")
	assert.Equal(t, exitUsage, got.code)
	got = gounet(t, append([]string{"train", hippocampus, "3d_fullres", "--work", work, "--amp", "--precision", "f32"}, short...)...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "give one of them")
}

func TestTheDataSetIsOnlyRead(t *testing.T) {
	work := t.TempDir()
	for _, sub := range []string{"", "labelsTr", "imagesTr/run"} {
		got := gounet(t, "train", hippocampus, "3d_fullres", "--work", work, "--output", filepath.Join(hippocampus, sub))
		assert.Equal(t, exitUsage, got.code, got.err)
		assert.Contains(t, got.err, "only read")
	}
	labels, err := filepath.Abs(filepath.Join(hippocampus, "labelsTr"))
	require.NoError(t, err)
	link := filepath.Join(work, "link")
	require.NoError(t, os.Symlink(labels, link))
	for _, args := range [][]string{
		{"train", hippocampus, "3d_fullres", "--work", work, "--output", filepath.Join(link, "run")},
		{"predict", "--model", work, "--input", work, "--output", link},
		{"evaluate", labels, labels, "--output", filepath.Join(link, "a.json")},
		{"evaluate", labels, labels, "--output", filepath.Join(work, "a.nii.gz")},
	} {
		got := gounet(t, args...)
		assert.Equal(t, exitUsage, got.code, got.err)
	}
	assert.NoError(t, checkOutput("--output", filepath.Join(hippocampus, "gounet_work", "new")), "a work folder beside the scans is no harm")
}

func TestPredictDoesNotReplaceScansOrDropChannels(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	got := gounet(t, append([]string{"train", hippocampus, "3d_fullres", "--work", filepath.Join(dir, "work"), "--output", run, "--no-validation"}, short...)...)
	require.Equal(t, exitOK, got.code, got.err)
	b, err := os.ReadFile(filepath.Join(run, train.SettingsFile))
	require.NoError(t, err)
	var used map[string]any
	require.NoError(t, json.Unmarshal(b, &used))
	assert.Equal(t, 0.01, used["learning-rate"], "what stood behind a default")
	assert.Equal(t, "sgd", used["optimizer"])

	scan, err := os.ReadFile(filepath.Join(hippocampus, "imagesTr", "hippocampus_003.nii.gz"))
	require.NoError(t, err)
	in := filepath.Join(dir, "in")
	require.NoError(t, os.Mkdir(in, 0o777))
	file := filepath.Join(in, "a.nii.gz")
	require.NoError(t, os.WriteFile(file, scan, 0o666))
	got = gounet(t, "predict", "--model", run, "--input", in, "--output", in, "--no-mirror")
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "would replace the scan")
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, scan, after)

	got = gounet(t, "predict", "--model", run, "--input", in, "--output", run, "--no-mirror")
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "holds a model")

	require.NoError(t, os.Rename(file, filepath.Join(in, "a_0000.nii.gz")))
	other := filepath.Join(in, "a_0002.nii.gz")
	require.NoError(t, os.WriteFile(other, scan, 0o666))
	for _, input := range []string{in, filepath.Join(in, "a_0000.nii.gz")} {
		got = gounet(t, "predict", "--model", run, "--input", input, "--output", filepath.Join(dir, "out"))
		assert.Equal(t, exitError, got.code)
		assert.Contains(t, got.err, "case a has a file a_0002.nii.gz beside its 1 channels")
	}
	require.NoError(t, os.Remove(other))
	got = gounet(t, "predict", "--model", run, "--input", in, "--output", filepath.Join(dir, "out"), "--folds", "3")
	assert.Equal(t, exitUsage, got.code, got.err)
	assert.Contains(t, got.err, "the model has fold 0")
}
