package main

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

// asTrainer is what a plan of nnU-Net's defaults becomes by --trainer and other flags.
func asTrainer(t *testing.T, fp *plan.Fingerprint, f trainFlags, patch [3]int) (plan.Recipe, *plan.Configuration) {
	t.Helper()
	f.valBatches, f.warmup = -1, -1
	ds, err := plan.LoadDatasetJSON(filepath.Join(hippocampus, "dataset.json"))
	require.NoError(t, err)
	made, err := plan.Make(fp, ds, plan.Options{Dataset: "x"})
	require.NoError(t, err)
	made.Configuration(plan.ConfigFullRes).Patch = patch
	p, err := f.planOf(made, plan.ConfigFullRes, t.TempDir())
	require.NoError(t, err)
	c := p.Configuration(plan.ConfigFullRes)
	return p.Recipe.For(c), c
}

func TestTrainersOfNNUNetAreValuesOfThePlan(t *testing.T) {
	cube := [3]int{40, 56, 40}
	fp, err := plan.LoadFingerprint(filepath.Join(smallWork(t), "dataset_fingerprint.json"))
	require.NoError(t, err)
	as := func(t *testing.T, f trainFlags, patch [3]int) (plan.Recipe, *plan.Configuration) {
		return asTrainer(t, fp, f, patch)
	}
	mirrored := func(r plan.Recipe) (axes [3]bool) {
		for _, s := range r.Augmentation {
			if s.Op == plan.Mirror {
				axes = s.Axes
			}
		}
		return axes
	}
	turned := func(r plan.Recipe) plan.Transform {
		return r.Augmentation[slices.IndexFunc(r.Augmentation, func(s plan.Transform) bool { return s.Op == plan.Rotation })]
	}
	usual, _ := as(t, trainFlags{}, cube)
	all, none, two := [3]bool{true, true, true}, [3]bool{}, [3]bool{true, true, false}
	for name, check := range map[string]func(r plan.Recipe, c *plan.Configuration){
		"nnUNetTrainer":            func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, usual, r) },
		"nnUNetTrainer_1epoch":     func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, 1, r.Schedule.Epochs) },
		"nnUNetTrainer_8000epochs": func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, 8000, r.Schedule.Epochs) },
		"nnUNetTrainerCELoss_5epochs": func(r plan.Recipe, _ *plan.Configuration) {
			assert.Equal(t, 5, r.Schedule.Epochs)
			assert.Zero(t, r.Loss.DiceWeight)
		},
		"nnUNetTrainer_250epochs_NoMirroring": func(r plan.Recipe, _ *plan.Configuration) {
			assert.Equal(t, 250, r.Schedule.Epochs)
			assert.Equal(t, none, mirrored(r))
			assert.Equal(t, none, r.Inference.Mirror)
		},
		"nnUNetTrainerNoMirroring": func(r plan.Recipe, _ *plan.Configuration) {
			assert.Equal(t, none, mirrored(r))
			assert.Equal(t, none, r.Inference.Mirror)
			assert.Len(t, r.Augmentation, len(usual.Augmentation)-1)
		},
		"nnUNetTrainer_onlyMirror01": func(r plan.Recipe, _ *plan.Configuration) {
			assert.Equal(t, two, mirrored(r))
			assert.Equal(t, two, r.Inference.Mirror)
		},
		"nnUNetTrainerAdan":          func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, plan.Adan, r.Optimizer.Kind) },
		"nnUNetTrainerAdan3en4":      func(r plan.Recipe, _ *plan.Configuration) { assert.InDelta(t, 3e-4, r.Optimizer.LearningRate, 0) },
		"nnUNetTrainerAdanCosAnneal": func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, plan.Cosine, r.Schedule.Kind) },
		"nnUNetTrainerDA5": func(r plan.Recipe, _ *plan.Configuration) {
			assert.True(t, slices.ContainsFunc(r.Augmentation, func(s plan.Transform) bool { return s.Op == plan.Sharpening }))
			assert.Equal(t, all, mirrored(r))
		},
		"nnUNetTrainerDA5Segord0":              func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, plan.NearestLabels, r.Interpolation) },
		"nnUNetTrainerDA5_10epochs":            func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, 10, r.Schedule.Epochs) },
		"nnUNetTrainer_onlyMirror01_DA5":       func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, two, mirrored(r)) },
		"nnUNetTrainer_onlyMirror01_1500ep":    func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, 1500, r.Schedule.Epochs) },
		"nnUNetTrainer_onlyMirror01_DASegOrd0": func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, plan.NearestLabels, r.Interpolation) },
		"nnUNetTrainer_DASegOrd0": func(r plan.Recipe, _ *plan.Configuration) {
			assert.Equal(t, plan.NearestLabels, r.Interpolation)
			assert.Equal(t, all, mirrored(r))
		},
		"nnUNetTrainer_DASegOrd0_NoMirroring": func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, none, mirrored(r)) },
		"nnUNetTrainerNoDA": func(r plan.Recipe, _ *plan.Configuration) {
			assert.Empty(t, r.Augmentation)
			assert.Equal(t, none, r.Inference.Mirror)
		},
		"nnUNetTrainerDiceLoss":            func(r plan.Recipe, _ *plan.Configuration) { assert.Zero(t, r.Loss.VoxelWeight) },
		"nnUNetTrainerDiceCELoss_noSmooth": func(r plan.Recipe, _ *plan.Configuration) { assert.Zero(t, r.Loss.Smooth) },
		"nnUNetTrainerTopk10Loss":          func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, plan.TopK, r.Loss.Voxel) },
		"nnUNetTrainerTopk10LossLS01":      func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, 0.1, r.Loss.Smoothing) },
		"nnUNetTrainerDiceTopK10Loss":      func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, 1.0, r.Loss.DiceWeight) },
		"nnUNetTrainerCosAnneal":           func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, plan.Cosine, r.Schedule.Kind) },
		"nnUNetTrainer_warmup":             func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, 50, r.Schedule.Warmup) },
		"nnUNetTrainerBN":                  func(_ plan.Recipe, c *plan.Configuration) { assert.Equal(t, plan.BatchNorm, c.Network.Norm) },
		"nnUNetTrainerNoDeepSupervision": func(r plan.Recipe, _ *plan.Configuration) {
			assert.Equal(t, []float64{1, 0, 0}, r.DeepSupervision.Weights(4))
		},
		"nnUNetTrainerVanillaAdam":                    func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, 0.01, r.Optimizer.LearningRate) },
		"nnUNetTrainerVanillaAdam1en3":                func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, 1e-3, r.Optimizer.LearningRate) },
		"nnUNetTrainerVanillaAdam3en4":                func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, plan.Adam, r.Optimizer.Kind) },
		"nnUNetTrainer_probabilisticOversampling_033": func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, 0.33, r.Oversample) },
		"nnUNetTrainer_probabilisticOversampling_010": func(r plan.Recipe, _ *plan.Configuration) { assert.Equal(t, 0.1, r.Oversample) },
	} {
		f := trainFlags{trainer: name, deviceFlags: deviceFlags{device: onCPU, precision: "f32"}}
		require.NoError(t, f.check(&app{settings: &settings{}}), name)
		r, c := as(t, f, cube)
		check(r, c)
	}
	// A batch of two has one patch that must hold foreground.
	r, _ := as(t, trainFlags{trainer: "nnUNetTrainer_probabilisticOversampling", batch: 2}, cube)
	assert.Equal(t, plan.ByChance, r.OversampleBy)
	assert.Equal(t, 0.5, r.Oversample)
	assert.InDelta(t, 3.0/9, forced(9, 0.33), 1e-12)
	// Flat patches turn in their plane only, unless that is not wanted.
	flat := [3]int{8, 64, 64}
	r, _ = as(t, trainFlags{valBatches: -1}, flat)
	assert.Equal(t, [3]bool{true, false, false}, turned(r).Axes)
	r, _ = as(t, trainFlags{trainer: "nnUNetTrainer_noDummy2DDA"}, flat)
	assert.Equal(t, all, turned(r).Axes)
	assert.Equal(t, plan.Range{-30, 30}, turned(r).Ranges["angle"])
	// What is typed goes before.
	r, _ = as(t, trainFlags{trainer: "nnUNetTrainer_250epochs", epochs: 7}, cube)
	assert.Equal(t, 7, r.Schedule.Epochs)
}

func TestTrainersThatAreNotHereAreNamed(t *testing.T) {
	for name, want := range map[string]string{
		"nnUNetTrainerAdam1en3":                        "--optimizer adamw",
		"nnUNetTrainerBenchmark_5epochs_noDataLoading": "gounet bench train",
		"nnUNetTrainer_0epochs":                        "wanted one of nnU-Net's",
		"myTrainer":                                    "nnUNetTrainerNoMirroring",
	} {
		got := gounet(t, "train", hippocampus, "3d_fullres", "--trainer", name, "--work", t.TempDir())
		assert.Equal(t, exitUsage, got.code)
		assert.Contains(t, got.err, want)
	}
}

func TestATrainerOfNNUNetTrains(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	work := smallWork(t)
	for _, name := range []string{"nnUNetTrainer_DASegOrd0_NoMirroring", "nnUNetTrainerDiceCELoss_noSmooth", "nnUNetTrainerNoDeepSupervision"} {
		dir := filepath.Join(t.TempDir(), name)
		args := append([]string{"train", hippocampus, "3d_fullres", "--work", work, "--no-validation", "--output", dir, "--trainer", name}, short...)
		got := gounet(t, args...)
		require.Equal(t, exitOK, got.code, got.err)
		log, err := train.ReadLog(dir)
		require.NoError(t, err)
		loss := float64(log[0].TrainLoss)
		assert.False(t, loss != loss, "%s: the loss is a number", name)
		// It is resumed as that trainer only.
		got = gounet(t, append(slices.Clone(args), "--resume")...)
		assert.Equal(t, exitOK, got.code, got.err)
		got = gounet(t, append(slices.Clone(args), "--resume", "--trainer", "nnUNetTrainerBN")...)
		assert.Equal(t, exitUsage, got.code, name)
		assert.Contains(t, got.err, "was begun with")
	}
}
