package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
)

const monai = "../../core/checkpoint/testdata/dynunet"

// TestModelsComeInAndGoOut takes a checkpoint of NVIDIA's through all forms but
// nnU-Net's, which has no network of its kernels, and one of nnU-Net's through all.
func TestModelsComeInAndGoOut(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "nvidia.gounet")
	got := gounet(t, "import", filepath.Join(monai, "nvidia.ckpt"), "--config-pkl", filepath.Join(monai, "config.pkl"),
		"--dataset-json", filepath.Join(hippocampus, "dataset.json"), "--output", model)
	require.Equal(t, exitOK, got.code, got.err)
	m, err := checkpoint.Open(model)
	require.NoError(t, err)
	assert.Equal(t, "Anterior", m.Plan.Labels[1].Name)
	got = gounet(t, "export", model, "--to", "nnunetv2", "--output", filepath.Join(dir, "results"))
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "nnU-Net's networks have the same in both")
	got = gounet(t, "import", filepath.Join(monai, "nvidia.ckpt"), "--output", model)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "the patch is not known")

	nnunet := "../../core/checkpoint/testdata/results/Dataset001_Tiny/nnUNetTrainer__nnUNetPlans__2d"
	own := filepath.Join(dir, "own")
	require.Equal(t, exitOK, gounet(t, "import", nnunet, "--output", own).code)
	for to, output := range map[string]string{"zip": "model.gounet", "nnunetv2": "results", "onnx": "onnx"} {
		got := gounet(t, "export", own, "--to", to, "--output", filepath.Join(dir, output))
		require.Equal(t, exitOK, got.code, got.err)
	}
	assert.FileExists(t, filepath.Join(dir, "onnx", "fold_1.onnx"))
	want, err := checkpoint.Open(nnunet)
	require.NoError(t, err)
	for _, path := range []string{"own", "model.gounet", "results/nnUNetTrainer__" + want.Plan.Name + "__2d"} {
		m, err := checkpoint.Open(filepath.Join(dir, path))
		require.NoError(t, err)
		assert.Equal(t, want.Folds, m.Folds)
	}
	for want, args := range map[string][]string{
		"--to and --output":   {"export", own, "--to", "zip"},
		"ends in .gounet":     {"export", own, "--to", "zip", "--output", filepath.Join(dir, "x")},
		"--f16 is of":         {"export", own, "--to", "onnx", "--f16", "--output", filepath.Join(dir, "x")},
		"--to pt: wanted":     {"export", own, "--to", "pt", "--output", filepath.Join(dir, "x")},
		"--output is missing": {"import", own},
		"three numbers Z,Y,X": {"import", own, "--output", filepath.Join(dir, "x"), "--patch", "3"},
	} {
		got := gounet(t, args...)
		assert.Equal(t, exitUsage, got.code, got.err)
		assert.Contains(t, got.err, want)
	}
}

// TestASecondStageBringsTheFirst exports a cascade in every form, and predicts with one
// file, with two, and with the folders.
func TestASecondStageBringsTheFirst(t *testing.T) {
	const cascade = "../../core/predict/testdata/cascade"
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.gounet"), filepath.Join(dir, "second.gounet")
	got := gounet(t, "export", filepath.Join(cascade, "T__P__3d_lowres"), "--to", "zip", "--output", first)
	require.Equal(t, exitOK, got.code, got.err)
	assert.NotContains(t, got.out, "note")
	for to, c := range map[string]struct{ output, want string }{
		"zip":      {second, "which is in the file, too"},
		"nnunetv2": {filepath.Join(dir, "results"), "-prev_stage_predictions"},
		"onnx":     {filepath.Join(dir, "second.onnx"), "its input has one for each label"},
	} {
		got := gounet(t, "export", filepath.Join(cascade, "T__P__3d_cascade_fullres"), "--to", to, "--output", c.output)
		require.Equal(t, exitOK, got.code, got.err)
		assert.Contains(t, got.out, "second stage of a cascade and needs the labels of 3d_lowres")
		assert.Contains(t, got.out, c.want)
	}
	input := filepath.Join(cascade, "scan_0000.nii.gz")
	results, err := filepath.Glob(filepath.Join(dir, "results", "*"))
	require.NoError(t, err)
	assert.Len(t, results, 2, "a results folder of each stage")
	alone := filepath.Join(dir, "alone")
	got = gounet(t, "predict", "--model", second, "--input", input, "--output", alone)
	require.Equal(t, exitOK, got.code, got.err)
	files, folders := filepath.Join(dir, "files"), filepath.Join(dir, "folders")
	got = gounet(t, "predict", "--model", second, "--previous", first, "--input", input, "--output", files)
	require.Equal(t, exitOK, got.code, got.err)
	got = gounet(t, "predict", "--model", filepath.Join(cascade, "T__P__3d_cascade_fullres"), "--input", input, "--output", folders)
	require.Equal(t, exitOK, got.code, got.err)
	a, err := scan.ReadLabels(filepath.Join(files, "scan.nii.gz"))
	require.NoError(t, err)
	b, err := scan.ReadLabels(filepath.Join(folders, "scan.nii.gz"))
	require.NoError(t, err)
	assert.Equal(t, a, b)
	b, err = scan.ReadLabels(filepath.Join(alone, "scan.nii.gz"))
	require.NoError(t, err)
	assert.Equal(t, a, b)
}

// TestTheRecipeIsData plans by NVIDIA's recipe and trains a step with it.
func TestTheRecipeIsData(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work := filepath.Join(t.TempDir(), "work")
	got := gounet(t, "plan", hippocampus, "--work", work, "--recipe", "nvidia")
	require.Equal(t, exitOK, got.code, got.err)
	p, err := plan.Load(filepath.Join(work, plan.FileName))
	require.NoError(t, err)
	assert.Equal(t, plan.RecipeNVIDIA, p.Recipe.Name)
	full := p.Configuration(plan.ConfigFullRes)
	full.Patch = [3]int{16, 24, 16}
	require.NoError(t, p.Save(filepath.Join(work, plan.FileName)))
	args := append([]string{"train", hippocampus, "3d_fullres", "--work", work, "--loss", "focal", "--warmup", "1", "--schedule", "cosine"}, short...)
	got = gounet(t, append(args, "--epochs", "2", "--no-validation")...)
	require.Equal(t, exitOK, got.code, got.err)
	m, err := checkpoint.Open(filepath.Join(work, "3d_fullres", "fold_0"))
	require.NoError(t, err)
	assert.Equal(t, plan.Focal, m.Plan.Recipe.Loss.Voxel)
	assert.True(t, m.Plan.Recipe.Loss.Sigmoid, "NVIDIA's is of a sigmoid of each label")
	assert.Equal(t, 1, m.Plan.Recipe.Schedule.Warmup)
	assert.NotContains(t, m.Folds[0].Weights, "encoder.stages.0.0.convs.0.conv.bias", "DynUNet has none")
}

// TestNormsBlocksAndLossesAreTrained plans batch norms and residual blocks and trains a
// few steps with weights of classes, then with the hardest voxels; the running
// statistics are part of the model, which validates with them.
func TestNormsBlocksAndLossesAreTrained(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work := filepath.Join(t.TempDir(), "work")
	got := gounet(t, "plan", hippocampus, "--work", work, "--recipe", "nvidia", "--network", "residual", "--norm", "batch", "--features", "4,6,8,10")
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "strided, batch norm")
	p, err := plan.Load(filepath.Join(work, plan.FileName))
	require.NoError(t, err)
	p.Configuration(plan.ConfigFullRes).Patch = [3]int{16, 24, 16}
	require.NoError(t, p.Save(filepath.Join(work, plan.FileName)))
	train := func(dir string, more ...string) *checkpoint.Model {
		args := append([]string{"train", hippocampus, "3d_fullres", "--work", work, "--output", dir}, short...)
		got := gounet(t, append(args, more...)...)
		require.Equal(t, exitOK, got.code, got.err)
		m, err := checkpoint.Open(dir)
		require.NoError(t, err)
		return m
	}
	dir := filepath.Join(t.TempDir(), "a")
	m := train(dir, "--class-weights", "0.5,1,2")
	assert.Equal(t, []float64{0.5, 1, 2}, m.Plan.Recipe.Loss.ClassWeights)
	running := m.Folds[0].Weights["encoder.stages.1.blocks.0.skip.0.norm.running_var"].Data
	require.NotEmpty(t, running)
	assert.NotEqual(t, float32(1), running[0], "it has followed the batches")
	assert.FileExists(t, filepath.Join(dir, "validation", "summary.json"))
	m = train(filepath.Join(t.TempDir(), "b"), "--loss", "dice-topk", "--label-smoothing", "0.1", "--no-validation")
	assert.Equal(t, plan.TopK, m.Plan.Recipe.Loss.Voxel)
	assert.InDelta(t, 0.1, m.Plan.Recipe.Loss.Smoothing, 0)
	got = gounet(t, append([]string{"train", hippocampus, "3d_fullres", "--work", work, "--loss", "topk", "--class-weights", "1,1,1"}, short...)...)
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "class_weights")
	got = gounet(t, "plan", hippocampus, "--work", work, "--network", "brats22")
	assert.Equal(t, exitUsage, got.code)
	assert.Contains(t, got.err, "are of --recipe nvidia")
}

// TestTrainingBeginsWithOtherWeights trains on labels with sides, beginning with a
// model of nnU-Net's for another data set.
func TestTrainingBeginsWithOtherWeights(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	dir, work := tinyDataset(t)
	plain := filepath.Join(t.TempDir(), "plain")
	got := gounet(t, append([]string{"train", dir, "3d_fullres", "--work", work, "--output", plain, "--no-validation"}, short...)...)
	require.Equal(t, exitOK, got.code, got.err)

	// The same scans with other names, which want a plan of their own.
	writeJSON(t, filepath.Join(dir, "dataset.json"), map[string]any{
		"channel_names": map[string]string{"0": "MRI"}, "labels": map[string]int{"background": 0, "left part": 1, "right part": 2},
		"numTraining": 6, "file_ending": ".nii.gz",
	})
	other := filepath.Join(t.TempDir(), "work")
	got = gounet(t, "plan", dir, "--work", other)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.err, "two sides of one structure: no mirroring along axis W")
	p, err := plan.Load(filepath.Join(other, plan.FileName))
	require.NoError(t, err)
	assert.Equal(t, [3]bool{true, true, false}, p.Recipe.Inference.Mirror)
	p.Configuration(plan.ConfigFullRes).Patch = [3]int{16, 24, 16}
	require.NoError(t, p.Save(filepath.Join(other, plan.FileName)))
	run := filepath.Join(t.TempDir(), "run")
	got = gounet(t, append([]string{"train", dir, "3d_fullres", "--work", other, "--output", run, "--no-validation", "--pretrained", plain}, short...)...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "0 fresh")
	assert.Contains(t, got.err, "decoder.seg_layers.0.weight is part", "one class of three has the same name")

	wide := filepath.Join(t.TempDir(), "wide")
	args := append([]string{"train", dir, "3d_fullres", "--work", other, "--output", wide, "--no-validation", "--pretrained", plain}, short...)
	args = append(args, "--width", "6") // the other has 2
	got = gounet(t, args...)
	assert.Equal(t, exitError, got.code)
	assert.Contains(t, got.err, "% of the weights fit, wanted 50 % or more")
	assert.Contains(t, got.err, "its shape is [2 1 3 3 3] in the other network")
	assert.NoDirExists(t, wide, "nothing has been done")
	got = gounet(t, append(args, "--pretrained-share", "0")...)
	require.Equal(t, exitOK, got.code, got.err)
	assert.Contains(t, got.out, "% of the weights: ")
}
