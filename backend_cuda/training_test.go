//go:build cuda && linux

package cuda

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/internal/ranks"
	"github.com/gounet/gounet/internal/safetensors"
)

// tiny is a plan for crops of the hippocampus, of two epochs of three steps.
func tiny() *plan.Plan {
	p := &plan.Plan{
		Version: plan.FormatVersion, Dataset: "Hippocampus", Name: "tiny", Planner: "nnunet", Ignore: -1, FileEnding: ".nii.gz",
		Channels:      []plan.Channel{{Name: "MRI", Normalization: plan.NormZScore}},
		Labels:        []plan.Label{{Name: "background", Values: []int{0}}, {Name: "Anterior", Values: []int{1}}, {Name: "Posterior", Values: []int{2}}},
		Intensities:   []plan.Intensity{{Std: 1}},
		Transpose:     [3]int{0, 1, 2},
		TransposeBack: [3]int{0, 1, 2},
		MedianSpacing: [3]float64{1, 1, 1}, MedianShape: [3]int{36, 50, 35},
		Recipe: plan.NNUNet(3),
	}
	p.Configurations = []plan.Configuration{{
		Name: plan.ConfigFullRes, Dim: 3, Patch: [3]int{8, 8, 8}, Batch: 2, Spacing: [3]float64{1, 1, 1},
		MedianShape: [3]float64{36, 50, 35}, Normalization: []string{plan.NormZScore}, MaskNorm: []bool{false},
		Resampling: plan.DefaultResampling(),
		Network: plan.Network{
			Kind: plan.Plain, Features: []int{4, 8}, Kernels: [][3]int{{3, 3, 3}, {3, 3, 3}}, Strides: [][3]int{{1, 1, 1}, {2, 2, 2}},
			Convs: []int{1, 1}, DecoderConvs: []int{1}, ConvBias: true, NormEps: 1e-5, Slope: 0.01,
		},
	}}
	p.Recipe.Schedule.Epochs, p.Recipe.Schedule.Iterations, p.Recipe.Schedule.ValIterations = 2, 3, 1
	return p
}

// Training and its validation, which share weights, run with augmentation in 16 bits;
// one that was interrupted, or whose cases do not lie on the device, ends with the bits of
// one that was not, or whose cases do.
func TestAnInterruptedTrainingEndsWithTheSameBits(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	p := tiny()
	raw, err := dataset.Open("../testdata/hippocampus")
	require.NoError(t, err)
	raw.Cases = raw.Cases[:4]
	st, err := raw.Preprocess(t.Context(), p, &p.Configurations[0], t.TempDir(), nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, st.Close()) }()
	o := train.Options{
		Plan: p, Configuration: plan.ConfigFullRes, Fold: "0", Train: st.Samples[:3], Val: st.Samples[3:],
		Dir: filepath.Join(t.TempDir(), "whole"), Device: closing(t), Seed: 7, Storage: graph.F16,
	}
	stored := 0
	o.Stored = func(cases int, _ int64) { stored += cases }
	var told []int
	o.Progress = func(p train.Progress) { told = append(told, 10*p.Epoch+p.Iteration) }
	whole, err := train.Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, 3, stored, "all lie on the device")
	require.Equal(t, []int{1, 2, 3, 3, 11, 12, 13, 13}, told, "each step once, in order, though losses are read late")

	host := o // which gives every crop
	host.Dir, host.Resident = filepath.Join(t.TempDir(), "host"), -1
	_, err = train.Run(t.Context(), host)
	require.NoError(t, err)
	require.Equal(t, 3, stored)
	assert.Equal(t, tensors(t, o.Dir, checkpoint.StateFile), tensors(t, host.Dir, checkpoint.StateFile))

	cut := o
	cut.Dir = filepath.Join(t.TempDir(), "cut")
	ctx, cancel := context.WithCancel(t.Context())
	cut.Progress = func(p train.Progress) {
		if p.Done == nil && p.Epoch == 1 {
			cancel()
		}
	}
	_, err = train.Run(ctx, cut)
	require.ErrorIs(t, err, context.Canceled)
	cut.Progress, cut.Resume = nil, true
	res, err := train.Run(t.Context(), cut)
	require.NoError(t, err)
	for i := range whole.Epochs {
		assert.Equal(t, whole.Epochs[i].TrainLoss, res.Epochs[i].TrainLoss, "with the losses of all steps")
	}
	for _, file := range []string{checkpoint.StateFile, checkpoint.WeightsFile} {
		assert.Equal(t, tensors(t, o.Dir, file), tensors(t, cut.Dir, file), file)
	}
}

// A GPU that is lost in the second epoch ends the training with the name of what it did;
// from the checkpoint of the first another goes on to the same bits.
func TestATrainingGoesOnAfterALostDevice(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	e := emulatedOnly(t)
	p := tiny()
	p.Recipe.Schedule.Iterations = 4
	raw, err := dataset.Open("../testdata/hippocampus")
	require.NoError(t, err)
	raw.Cases = raw.Cases[:4]
	st, err := raw.Preprocess(t.Context(), p, &p.Configurations[0], t.TempDir(), nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, st.Close()) }()
	simple := func() *device {
		d := opened(t)
		d.simple = true
		return d
	}
	o := train.Options{
		Plan: p, Configuration: plan.ConfigFullRes, Fold: "0", Train: st.Samples[:3], Val: st.Samples[3:],
		Dir: filepath.Join(t.TempDir(), "whole"), Device: simple(), Seed: 7, Every: 1,
	}
	_, err = train.Run(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, o.Device.Close())

	for _, code := range []result{214, 700, 719} { // ECC, and faults of kernels
		lost := o
		lost.Dir, lost.Device = filepath.Join(t.TempDir(), "lost"), simple()
		lost.Progress = func(p train.Progress) {
			if p.Done == nil && p.Epoch == 1 && p.Iteration == 1 {
				e.inject(code, 0)
			}
		}
		_, err = train.Run(t.Context(), lost)
		require.ErrorIs(t, err, backend.ErrLost)
		require.ErrorContains(t, err, "epoch 1, iteration 3: cuda: emulated: source to step: ", "the step that begins then: two are before it")
		require.ErrorContains(t, err, fmt.Sprintf("CUDA error %d", code))
		require.NoError(t, lost.Device.Close())
		lost.Progress, lost.Resume, lost.Device = nil, true, simple()
		_, err = train.Run(t.Context(), lost)
		require.NoError(t, err)
		require.NoError(t, lost.Device.Close())
		assert.Equal(t, tensors(t, o.Dir, checkpoint.StateFile), tensors(t, lost.Dir, checkpoint.StateFile))
	}
}

// sampled is a training of p on the first cases of the hippocampus.
func sampled(t *testing.T, p *plan.Plan) train.Options {
	raw, err := dataset.Open("../testdata/hippocampus")
	require.NoError(t, err)
	raw.Cases = raw.Cases[:4]
	st, err := raw.Preprocess(t.Context(), p, &p.Configurations[0], t.TempDir(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, st.Close()) })
	return train.Options{
		Plan: p, Configuration: plan.ConfigFullRes, Fold: "0", Train: st.Samples[:3], Val: st.Samples[3:],
		Dir: filepath.Join(t.TempDir(), "run"), Seed: 7, BucketBytes: 1000,
	}
}

// together trains on GPUs of one group.
func together(t *testing.T, world int, o train.Options, careful bool) {
	groups, err := ranks.JoinAll(t.Context(), world, ranks.Options{World: world})
	require.NoError(t, err)
	devices, m := emulatedGroup(t, world)
	errs := make([]error, world)
	var all sync.WaitGroup
	for rank, d := range devices {
		d.careful = careful
		all.Go(func() {
			mine := o
			mine.Group, mine.Device = groups[rank], d
			if _, errs[rank] = train.Run(t.Context(), mine); errs[rank] != nil {
				m.end(errs[rank])
			}
			errs[rank] = errors.Join(errs[rank], groups[rank].Close(), d.Close())
		})
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
}

// Four GPUs train with sums of gradients beside the backward pass, and with those of batch
// norms within it: with the bits of one node after the other, on every rank.
func TestWhatRunsBesideTheBackwardPassChangesNoBit(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	const world = 4
	for _, norm := range []string{plan.InstanceNorm, plan.BatchNorm} {
		p := tiny()
		c := &p.Configurations[0]
		c.Batch, c.BatchDice, c.Network.Norm = world, true, norm
		p.Recipe.Schedule.Epochs = 1
		o := sampled(t, p)
		o.Storage = graph.F16
		run := func(careful bool) map[string][]float32 {
			o.Dir = filepath.Join(t.TempDir(), "run")
			together(t, world, o, careful)
			return tensors(t, o.Dir, checkpoint.StateFile)
		}
		assert.Equal(t, run(true), run(false), norm)
	}
}

// Two GPUs train a network of batch norms as one does with their batch, running statistics
// included: each is wrong by no more units of what it moved than a sum over the voxels of
// a batch is, in every step.
func TestGPUsShareTheStatisticsOfBatchNorms(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for seconds")
	}
	p := tiny()
	c := &p.Configurations[0]
	c.Batch, c.Network.Norm = 4, plan.BatchNorm
	const steps = 3
	p.Recipe.Schedule.Epochs, p.Recipe.Schedule.Iterations = 1, steps
	o := sampled(t, p)
	alone := o
	alone.Device = opened(t)
	alone.Device.(*device).simple = true
	_, err := train.Run(t.Context(), alone)
	require.NoError(t, err)
	want := tensors(t, o.Dir, checkpoint.WeightsFile)

	p.Recipe.Schedule.Iterations = 1
	start := alone
	start.Dir = filepath.Join(t.TempDir(), "start")
	_, err = train.Run(t.Context(), start)
	require.NoError(t, err)
	require.NoError(t, alone.Device.Close())
	before := tensors(t, start.Dir, checkpoint.WeightsFile)
	p.Recipe.Schedule.Iterations = steps

	o.Dir = filepath.Join(t.TempDir(), "group")
	together(t, 2, o, false)
	got := tensors(t, o.Dir, checkpoint.WeightsFile)
	require.Len(t, got, len(want))
	moved, wrong := map[bool]float64{}, map[bool]float64{}
	for name := range want {
		running := strings.Contains(name, ".running_")
		for i, w := range want[name] {
			moved[running] += square(w - before[name][i])
			wrong[running] += square(w - got[name][i])
		}
	}
	units := math.Sqrt(float64(c.Batch*c.Patch[0]*c.Patch[1]*c.Patch[2])) * 0x1p-24
	require.Len(t, moved, 2)
	for running, m := range moved {
		share := math.Sqrt(wrong[running] / m)
		t.Logf("running statistics %v: moved by %.3g, and differ by %.3g of that", running, math.Sqrt(m), share)
		assert.Less(t, share, steps*units)
	}
}

func square(x float32) float64 { return float64(x) * float64(x) }

func tensors(t *testing.T, dir, file string) map[string][]float32 {
	f, err := safetensors.Open(filepath.Join(dir, file))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	all := map[string][]float32{}
	for _, n := range f.Names() {
		x, _, err := f.Float32s(n)
		require.NoError(t, err)
		all[n] = x
	}
	return all
}
