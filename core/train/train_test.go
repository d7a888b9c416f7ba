package train_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/checkpoint/checkpointtest"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
)

// small is a plan for crops of the hippocampus that trains in seconds.
func small() *plan.Plan {
	p := &plan.Plan{
		Version: plan.FormatVersion, Dataset: "Hippocampus", Name: "small", Planner: "nnunet", Ignore: -1, FileEnding: ".nii.gz",
		Channels:      []plan.Channel{{Name: "MRI", Normalization: plan.NormZScore}},
		Labels:        []plan.Label{{Name: "background", Values: []int{0}}, {Name: "Anterior", Values: []int{1}}, {Name: "Posterior", Values: []int{2}}},
		Intensities:   []plan.Intensity{{Std: 1}},
		Transpose:     [3]int{0, 1, 2},
		TransposeBack: [3]int{0, 1, 2},
		MedianSpacing: [3]float64{1, 1, 1}, MedianShape: [3]int{36, 50, 35},
		Recipe: plan.NNUNet(3),
	}
	p.Configurations = []plan.Configuration{{
		Name: plan.ConfigFullRes, Dim: 3, Patch: [3]int{16, 24, 16}, Batch: 2, Spacing: [3]float64{1, 1, 1},
		MedianShape: [3]float64{36, 50, 35}, Normalization: []string{plan.NormZScore}, MaskNorm: []bool{false},
		Resampling: plan.DefaultResampling(),
		Network: plan.Network{
			Kind: plan.Plain, Features: []int{4, 8, 16}, Kernels: [][3]int{{3, 3, 3}, {3, 3, 3}, {3, 3, 3}},
			Strides: [][3]int{{1, 1, 1}, {2, 2, 2}, {2, 2, 2}}, Convs: []int{2, 2, 2}, DecoderConvs: []int{2, 2},
			ConvBias: true, NormEps: 1e-5, Slope: 0.01,
		},
	}}
	p.Recipe.Schedule.Epochs, p.Recipe.Schedule.Iterations, p.Recipe.Schedule.ValIterations = 3, 4, 2
	return p
}

// options are those of a training of six cases in a new folder.
func options(t *testing.T) train.Options {
	t.Helper()
	p := small()
	raw, err := dataset.Open("../../testdata/hippocampus")
	require.NoError(t, err)
	raw.Cases = raw.Cases[:6]
	st, err := raw.Preprocess(context.Background(), p, &p.Configurations[0], t.TempDir(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, st.Close()) })
	dev := cpu.Open(cpu.Options{})
	t.Cleanup(func() { assert.NoError(t, dev.Close()) })
	return train.Options{
		Plan: p, Configuration: plan.ConfigFullRes, Fold: "0", Train: st.Samples[:4], Val: st.Samples[4:],
		Dir: filepath.Join(t.TempDir(), "run"), Device: dev, Seed: 7,
	}
}

func weights(t *testing.T, dir, file string) map[string][]float32 {
	t.Helper()
	return checkpointtest.Tensors(t, filepath.Join(dir, file))
}

func TestResumedTrainingHasTheBitsOfAnUninterruptedOne(t *testing.T) {
	for name, change := range map[string]func(*plan.Recipe){
		"standard": func(*plan.Recipe) {},
		"adan":     func(r *plan.Recipe) { r.Optimizer.Use(plan.Adan) },
		"da5":      func(r *plan.Recipe) { r.Augment(plan.AugmentDA5, 3) },
	} {
		t.Run(name, func(t *testing.T) { resumes(t, change) })
	}
}

func resumes(t *testing.T, change func(*plan.Recipe)) {
	ctx := context.Background()
	o := options(t)
	change(&o.Plan.Recipe)
	whole, err := train.Run(ctx, o)
	require.NoError(t, err)
	want := weights(t, o.Dir, checkpoint.StateFile)

	// Stopped in the middle of an epoch, and once more in the next one.
	cut := o
	cut.Dir = filepath.Join(t.TempDir(), "cut")
	for _, at := range []int{2, 7} {
		c, cancel := context.WithCancel(ctx)
		cut.Progress = func(p train.Progress) {
			if p.Done == nil && p.Epoch*4+p.Iteration == at {
				cancel()
			}
		}
		_, err = train.Run(c, cut)
		require.ErrorIs(t, err, context.Canceled)
		cut.Resume = true
		cancel()
	}
	cut.Progress = nil
	res, err := train.Run(ctx, cut)
	require.NoError(t, err)
	checkpointtest.SameBits(t, want, weights(t, cut.Dir, checkpoint.StateFile))
	checkpointtest.SameBits(t, weights(t, o.Dir, checkpoint.WeightsFile), weights(t, cut.Dir, checkpoint.WeightsFile))
	for i := range whole.Epochs {
		assert.Equal(t, whole.Epochs[i].TrainLoss, res.Epochs[i].TrainLoss)
		assert.Equal(t, whole.Epochs[i].Dice, res.Epochs[i].Dice)
	}
}

func TestSameSeedSameBitsForAnyNumberOfWorkers(t *testing.T) {
	o := options(t)
	o.Plan.Recipe.Schedule.Epochs = 1
	_, err := train.Run(context.Background(), o)
	require.NoError(t, err)
	want := weights(t, o.Dir, checkpoint.StateFile)
	for _, workers := range []int{1, 3} {
		dev := cpu.Open(cpu.Options{Workers: workers})
		o.Device, o.Dir = dev, filepath.Join(t.TempDir(), "run")
		_, err := train.Run(context.Background(), o)
		require.NoError(t, err)
		require.NoError(t, dev.Close())
		checkpointtest.SameBits(t, want, weights(t, o.Dir, checkpoint.StateFile), "%d workers", workers)
	}
}

func TestPatienceEndsTraining(t *testing.T) {
	o := options(t)
	o.Plan.Recipe.Schedule.Epochs, o.Plan.Recipe.Schedule.Patience = 50, 2
	o.Plan.Recipe.Schedule.Iterations = 1
	o.Plan.Recipe.Optimizer.LearningRate = 1e-12 // nothing is learned
	o.Plan.Recipe.Optimizer.WeightDecay = 0
	res, err := train.Run(context.Background(), o)
	require.NoError(t, err)
	assert.Contains(t, res.Stopped, "patience")
	best := 0
	for i, e := range res.Epochs {
		if e.EMA > res.Epochs[best].EMA {
			best = i
		}
	}
	assert.Equal(t, best+1+2, len(res.Epochs))
}

func TestPatienceThatHasEndedATrainingEndsItAgain(t *testing.T) {
	o := options(t)
	o.Plan.Recipe.Schedule.Epochs, o.Plan.Recipe.Schedule.Patience, o.Plan.Recipe.Schedule.Iterations = 50, 2, 1
	o.Plan.Recipe.Optimizer.LearningRate = 1e-12 // nothing is learned
	first, err := train.Run(t.Context(), o)
	require.NoError(t, err)
	before := weights(t, o.Dir, checkpoint.StateFile)
	o.Resume = true
	again, err := train.Run(t.Context(), o)
	require.NoError(t, err)
	assert.Len(t, again.Epochs, len(first.Epochs))
	assert.Contains(t, again.Stopped, "patience")
	checkpointtest.SameBits(t, before, weights(t, o.Dir, checkpoint.StateFile))
}

func TestARunWithoutItsStateOrWithADamagedOneIsNotTrainedOver(t *testing.T) {
	o := options(t)
	o.Plan.Recipe.Schedule.Epochs, o.Plan.Recipe.Schedule.Iterations = 1, 1
	_, err := train.Run(t.Context(), o)
	require.NoError(t, err)
	o.Resume = true
	state := filepath.Join(o.Dir, checkpoint.StateFile)
	whole, err := os.ReadFile(state)
	require.NoError(t, err)
	damaged := slices.Clone(whole)
	damaged[len(damaged)-5] ^= 1
	require.NoError(t, os.WriteFile(state, damaged, 0o666))
	_, err = train.Run(t.Context(), o)
	require.ErrorContains(t, err, "damaged")
	require.NoError(t, os.Remove(state))
	model := weights(t, o.Dir, checkpoint.WeightsFile)
	_, err = train.Run(t.Context(), o)
	require.ErrorContains(t, err, "without the "+checkpoint.StateFile)
	checkpointtest.SameBits(t, model, weights(t, o.Dir, checkpoint.WeightsFile))
}

func TestACaseWhoseFileShrinksIsAnError(t *testing.T) {
	o := options(t)
	files, err := filepath.Glob(filepath.Join(o.Dir, "..", "..", "*", "*"+dataset.Ending))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		require.NoError(t, os.Truncate(f, 0))
	}
	_, err = train.Run(t.Context(), o)
	require.ErrorContains(t, err, "cannot be read any more")
}

func TestADamagedCaseIsAnError(t *testing.T) {
	o := options(t)
	files, err := filepath.Glob(filepath.Join(o.Dir, "..", "..", "*", "*"+dataset.Ending))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		b[len(b)/2] ^= 0x40
		require.NoError(t, os.WriteFile(f, b, 0o666))
	}
	_, err = train.Run(t.Context(), o)
	require.ErrorContains(t, err, "is damaged")
}

func TestTimeEndsTraining(t *testing.T) {
	o := options(t)
	o.MaxTime = time.Nanosecond
	res, err := train.Run(context.Background(), o)
	require.NoError(t, err)
	assert.Contains(t, res.Stopped, "time")
	assert.Len(t, res.Epochs, 1)
}

func TestHalfPrecisionLearnsAsFullPrecisionDoes(t *testing.T) {
	o := options(t)
	o.Plan.Recipe.Augmentation = nil
	o.Plan.Recipe.Schedule.Epochs, o.Plan.Recipe.Schedule.Iterations = 2, 10
	var last []float64
	for _, s := range []graph.DType{graph.F32, graph.BF16, graph.F16} {
		o.Storage, o.Dir = s, filepath.Join(t.TempDir(), s.String())
		res, err := train.Run(context.Background(), o)
		require.NoError(t, err)
		e := res.Epochs[len(res.Epochs)-1]
		assert.Less(t, e.TrainLoss, res.Epochs[0].TrainLoss, s)
		last = append(last, float64(e.TrainLoss))
	}
	t.Logf("train loss of the last epoch in f32, bf16, f16: %.4f", last)
}

func TestFolderThatHoldsATrainingIsNotOverwritten(t *testing.T) {
	o := options(t)
	o.Plan.Recipe.Schedule.Epochs = 1
	_, err := train.Run(context.Background(), o)
	require.NoError(t, err)
	_, err = train.Run(context.Background(), o)
	assert.ErrorContains(t, err, "--resume")
	o.Resume, o.Seed = true, 8
	_, err = train.Run(context.Background(), o)
	assert.ErrorContains(t, err, "--seed")
}

func TestATrainingGoesOnWithItsOwnCasesOnly(t *testing.T) {
	o := options(t)
	o.Plan.Recipe.Schedule.Epochs = 1
	_, err := train.Run(t.Context(), o)
	require.NoError(t, err)
	began, err := train.CasesOf(o.Dir)
	require.NoError(t, err)
	assert.Equal(t, o.Train[0].ID, began.Train[0])
	assert.Len(t, began.Val, len(o.Val))
	none, err := train.CasesOf(t.TempDir())
	require.NoError(t, err)
	assert.Empty(t, none.Train)

	o.Resume = true
	own := o
	moved := slices.Concat(o.Train, o.Val)
	o.Train, o.Val = moved[1:], moved[:1] // held out now, seen before
	_, err = train.Run(t.Context(), o)
	assert.ErrorContains(t, err, o.Val[0].ID+" was trained on and is held out")
	o = own
	o.Train = slices.Clone(o.Train)
	slices.Reverse(o.Train)
	_, err = train.Run(t.Context(), o)
	assert.ErrorContains(t, err, "in another order")
	_, err = train.Run(t.Context(), own)
	assert.NoError(t, err)
}

func TestRunFolderHoldsWhatPeopleAndProgramsRead(t *testing.T) {
	o := options(t)
	_, err := train.Run(context.Background(), o)
	require.NoError(t, err)
	log, err := train.ReadLog(o.Dir)
	require.NoError(t, err)
	require.Len(t, log, 3)
	assert.Len(t, log[0].Dice, 2)
	svg, err := os.ReadFile(filepath.Join(o.Dir, train.ProgressFile))
	require.NoError(t, err)
	assert.Contains(t, string(svg), "<polyline")
	m, err := checkpoint.Open(o.Dir)
	require.NoError(t, err)
	assert.Equal(t, 3, m.Folds[0].Epoch)
	assert.FileExists(t, filepath.Join(o.Dir, checkpoint.BestFile))
}

func TestRatesAreThoseOfTheOriginal(t *testing.T) {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: PyTorch's learning rates lie there")
	}
	b, err := os.ReadFile(filepath.Join(dir, "golden", "networks", "poly_lr.json"))
	require.NoError(t, err)
	var want struct {
		LR map[string]float64 `json:"lr"` // of 0.01 over 1000 epochs
	}
	require.NoError(t, json.Unmarshal(b, &want))
	require.NotEmpty(t, want.LR)
	for epoch, rate := range want.LR {
		e, err := strconv.Atoi(epoch)
		require.NoError(t, err)
		assert.InEpsilon(t, rate, train.Rate(plan.NNUNet(3), e), 1e-12, "epoch %s", epoch)
	}
}

// TestTheRateRisesFirst compares with the formulas of nnU-Net's Lin_incr_LRScheduler
// and PolyLRScheduler_offset.
func TestTheRateRisesFirst(t *testing.T) {
	r := plan.NNUNet(3)
	r.Schedule.Warmup = 50
	assert.InEpsilon(t, 0.01/50, train.Rate(r, 0), 1e-12)
	assert.InEpsilon(t, 0.01, train.Rate(r, 49), 1e-12)
	assert.InEpsilon(t, 0.01, train.Rate(r, 50), 1e-12)
	assert.InEpsilon(t, 0.01*math.Pow(1-475./950, 0.9), train.Rate(r, 525), 1e-12)
	r.Schedule.Kind, r.Schedule.MinRate = plan.Cosine, 0.001
	assert.InEpsilon(t, 0.0055, train.Rate(r, 525), 1e-9, "the middle of the cosine over what is left")
}

func TestOverflowIsSkippedAndLogged(t *testing.T) {
	o := options(t)
	o.Storage = graph.F16
	o.Plan.Recipe.Schedule.Epochs = 1
	res, err := train.Run(context.Background(), o)
	require.NoError(t, err)
	e := res.Epochs[0]
	// A fresh scale of 65536 is halved once for each step that overflowed.
	assert.Equal(t, 65536.0, e.LossScale*float64(int(1)<<e.Skipped))
}

func TestARunFolderHasOneWriter(t *testing.T) {
	o := options(t)
	o.Plan.Recipe.Schedule.Epochs = 1
	tried := false
	o.Progress = func(train.Progress) {
		if tried {
			return
		}
		tried = true
		second := o
		second.Progress = nil
		_, err := train.Run(context.Background(), second)
		assert.ErrorContains(t, err, o.Dir+": another training (process "+strconv.Itoa(os.Getpid())+") writes here: wait for it, or train into another folder")
	}
	_, err := train.Run(context.Background(), o)
	require.NoError(t, err)
	require.True(t, tried)
	o.Progress, o.Resume = nil, true
	_, err = train.Run(context.Background(), o)
	require.NoError(t, err, "the lock is given back")
}
