package train_test

import (
	"cmp"
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

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/backend/backendtest"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/checkpoint/checkpointtest"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/internal/ranks"
)

// together trains with n ranks in this process. change, if any, may give a rank other
// options, and see its group.
func together(ctx context.Context, t *testing.T, n int, o train.Options, change func(*train.Options)) (*train.Result, []error) {
	t.Helper()
	groups, err := ranks.JoinAll(t.Context(), n, ranks.Options{World: n})
	require.NoError(t, err)
	results, errs := make([]*train.Result, n), make([]error, n)
	var all sync.WaitGroup
	for rank, g := range groups {
		all.Go(func() {
			mine := o
			mine.Group = g
			mine.Device = cpu.Open(cpu.Options{Workers: 1, World: n, Reduce: g.AllReduce})
			mine.BucketBytes = cmp.Or(o.BucketBytes, 1000) // several
			if change != nil {
				change(&mine)
			}
			results[rank], errs[rank] = train.Run(ctx, mine)
			errs[rank] = errors.Join(errs[rank], g.Close(), mine.Device.Close())
		})
	}
	all.Wait()
	return results[0], errs
}

// TestRanksTrainAsOneDeviceDoesWithTheirBatch compares weights, and apart from them running
// statistics. Ranks add the same terms in another order. The gradient of a weight is a sum
// of n terms, one a voxel of the batch, whose rounding is about √n units of the sum of
// their absolute values. A step may then be wrong by √n units of itself, of which nothing
// was seen to cancel here; a sample, a factor or a noise that differs changes it by
// hundredths. The errors of steps add up.
func TestRanksTrainAsOneDeviceDoesWithTheirBatch(t *testing.T) {
	for _, norm := range []string{plan.InstanceNorm, plan.BatchNorm} {
		for _, batchDice := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s norms, batch Dice %v", norm, batchDice), func(t *testing.T) {
				o := options(t)
				c := &o.Plan.Configurations[0]
				c.Batch, c.BatchDice, c.Network.Norm = 4, batchDice, norm
				trainAsOne(t, o, []int{2, 4})
			})
		}
	}
}

func trainAsOne(t *testing.T, o train.Options, worlds []int) {
	c := &o.Plan.Configurations[0]
	for i := range o.Plan.Recipe.Augmentation {
		o.Plan.Recipe.Augmentation[i].P = 1 // so that each is seen
	}
	s := &o.Plan.Recipe.Schedule
	s.Epochs, s.Iterations, s.ValIterations = 2, 2, 1
	units := math.Sqrt(float64(c.Batch*c.Patch[0]*c.Patch[1]*c.Patch[2])) * 0x1p-24
	one, err := train.Run(t.Context(), o)
	require.NoError(t, err)
	want := weights(t, o.Dir, checkpoint.WeightsFile)

	start := o
	start.Dir = filepath.Join(t.TempDir(), "start")
	ctx, cancel := context.WithCancel(t.Context())
	start.Progress = func(train.Progress) { cancel() } // after the first step
	_, err = train.Run(ctx, start)
	require.ErrorIs(t, err, context.Canceled)
	before := weights(t, start.Dir, checkpoint.WeightsFile)

	for _, n := range worlds {
		o.Dir = filepath.Join(t.TempDir(), "run")
		res, errs := together(t.Context(), t, n, o, nil)
		require.NoError(t, errors.Join(errs...))
		got := weights(t, o.Dir, checkpoint.WeightsFile)
		require.Len(t, got, len(want))
		steps := float64(s.Epochs * s.Iterations)
		moved, wrong := map[bool]float64{}, map[bool]float64{}
		for name := range want {
			running := strings.Contains(name, ".running_")
			for i, w := range want[name] {
				moved[running] += square(w - before[name][i])
				wrong[running] += square(w - got[name][i])
			}
		}
		require.Len(t, moved, map[string]int{plan.InstanceNorm: 1, plan.BatchNorm: 2}[cmp.Or(c.Network.Norm, plan.InstanceNorm)])
		for running, m := range moved {
			share := math.Sqrt(wrong[running] / m)
			t.Logf("%d ranks: running statistics %v: moved by %.3g, and differ by %.3g of that", n, running, math.Sqrt(m), share)
			assert.Less(t, share, steps*units)
		}
		for i, e := range one.Epochs {
			assert.InDelta(t, float64(e.TrainLoss), float64(res.Epochs[i].TrainLoss), steps*units)
			assert.InDelta(t, float64(e.ValLoss), float64(res.Epochs[i].ValLoss), steps*units)
			for k := range e.Dice { // decided labels: a voxel in a thousand may fall on the other side
				assert.InDelta(t, float64(e.Dice[k]), float64(res.Epochs[i].Dice[k]), 2e-3)
			}
		}
	}
}

func square(x float32) float64 { return float64(x) * float64(x) }

func TestRanksHaveTheSameBitsInEveryRunAndAfterAnInterruption(t *testing.T) {
	for _, norm := range []string{plan.InstanceNorm, plan.BatchNorm} {
		t.Run(norm+" norms", func(t *testing.T) { sameBitsOfRanks(t, norm) })
	}
}

func sameBitsOfRanks(t *testing.T, norm string) {
	o := options(t)
	o.Storage = graph.F16 // a scale that is decided by all
	c := &o.Plan.Configurations[0]
	c.Batch, c.BatchDice, c.Network.Norm = 3, true, norm
	o.Plan.Recipe.Schedule.Epochs = 2
	whole, errs := together(t.Context(), t, 3, o, nil)
	require.NoError(t, errors.Join(errs...))
	want := weights(t, o.Dir, checkpoint.StateFile)

	cut := o
	cut.Dir = filepath.Join(t.TempDir(), "cut")
	for _, at := range []int{2, 5} {
		ctx, cancel := context.WithCancel(t.Context())
		_, errs = together(ctx, t, 3, cut, func(o *train.Options) {
			if o.Group.Rank == 1 {
				o.Progress = func(p train.Progress) {
					if p.Done == nil && p.Epoch*4+p.Iteration == at {
						cancel()
					}
				}
			}
		})
		for _, err := range errs {
			require.ErrorIs(t, err, context.Canceled, "whoever notices it first")
		}
		cut.Resume = true
		cancel()
	}
	res, errs := together(t.Context(), t, 3, cut, nil)
	require.NoError(t, errors.Join(errs...))
	checkpointtest.SameBits(t, want, weights(t, cut.Dir, checkpoint.StateFile))
	assert.Equal(t, whole.Epochs[1].TrainLoss, res.Epochs[1].TrainLoss)
	assert.Equal(t, whole.Epochs[1].Dice, res.Epochs[1].Dice)
	assert.Equal(t, whole.Epochs[1].LossScale, res.Epochs[1].LossScale)

	_, errs = together(t.Context(), t, 3, cut, func(o *train.Options) { o.Resume = false })
	for _, err := range errs {
		require.ErrorContains(t, err, "holds a training already")
	}
	dev := cpu.Open(cpu.Options{})
	defer dev.Close()
	cut.Device = dev
	_, err := train.Run(t.Context(), cut)
	require.ErrorContains(t, err, "began with a number of ranks of 3, not 1")
}

func TestARankThatComputesDifferentlyIsNamed(t *testing.T) {
	o := options(t)
	o.Plan.Configurations[0].Batch = 3
	_, errs := together(t.Context(), t, 3, o, func(o *train.Options) {
		if g := o.Group; g.Rank == 2 {
			o.Device = cpu.Open(cpu.Options{Workers: 1, World: 3, Reduce: func(ctx context.Context, v [][]float32) error {
				err := g.AllReduce(ctx, v)
				v[0][0]++
				return err
			}})
		}
	})
	for _, err := range errs {
		require.ErrorContains(t, err, "rank 2 (")
		require.ErrorContains(t, err, "differs in its weights from rank 0")
	}
	assert.NoFileExists(t, filepath.Join(o.Dir, checkpoint.StateFile), "weights that may be wrong are not kept")
}

// A rank that ends, also the first, leaves a checkpoint of the last step of all: the
// training goes on to the bits of one that lost nobody.
func TestALostRankLeavesACheckpoint(t *testing.T) {
	o := options(t)
	o.Plan.Configurations[0].Batch = 3
	o.Plan.Recipe.Schedule.Epochs = 1
	o.Plan.Recipe.Schedule.Iterations = 6
	_, errs := together(t.Context(), t, 3, o, nil)
	require.NoError(t, errors.Join(errs...))
	want := weights(t, o.Dir, checkpoint.StateFile)
	for _, ending := range []int{0, 2} {
		o.Dir = filepath.Join(t.TempDir(), "run")
		_, errs := together(t.Context(), t, 3, o, func(o *train.Options) {
			if g := o.Group; g.Rank == ending {
				o.Progress = func(p train.Progress) {
					if p.Iteration == 3 {
						g.Fail(errors.New("no more memory"))
					}
				}
			}
		})
		for _, err := range errs {
			require.ErrorContains(t, err, "no more memory")
		}
		again := o
		again.Resume = true
		_, errs = together(t.Context(), t, 3, again, nil)
		require.NoError(t, errors.Join(errs...))
		checkpointtest.SameBits(t, want, weights(t, o.Dir, checkpoint.StateFile), "rank %d ended", ending)
	}
}

// A step that a rank leaves in the middle has not been, also not for the running
// statistics of batch norms, which are the same on every rank: in a sum of the forward pass
// of those norms, and in the last sum of gradients.
func TestAStepThatARankLeavesHasNotBeen(t *testing.T) {
	for _, norm := range []string{plan.InstanceNorm, plan.BatchNorm} {
		o := options(t)
		c := &o.Plan.Configurations[0]
		c.Batch, c.Network.Norm = 3, norm
		s := &o.Plan.Recipe.Schedule
		s.Epochs, s.Iterations = 1, 3
		o.Dir = filepath.Join(t.TempDir(), "run")
		want := o.Dir
		sums, errs := leaving(t, o, -1)
		require.NoError(t, errors.Join(errs...), norm)
		require.Zero(t, sums%s.Iterations)
		for _, at := range []int{3, 2 * sums / s.Iterations} {
			o.Dir, o.Resume = filepath.Join(t.TempDir(), "run"), false
			_, errs = leaving(t, o, at)
			for _, err := range errs {
				require.ErrorContains(t, err, "no more memory", norm)
			}
			o.Resume = true
			_, errs = together(t.Context(), t, 3, o, nil)
			require.NoError(t, errors.Join(errs...), norm)
			for _, file := range []string{checkpoint.StateFile, checkpoint.WeightsFile} {
				checkpointtest.SameBits(t, weights(t, want, file), weights(t, o.Dir, file), "%s, sum %d of %d", norm, at, sums)
			}
		}
	}
}

// leaving is a training of three ranks, of which the last ends in its sum number at. It
// returns the number of its sums.
func leaving(t *testing.T, o train.Options, at int) (sums int, errs []error) {
	_, errs = together(t.Context(), t, 3, o, func(o *train.Options) {
		if g := o.Group; g.Rank == 2 {
			o.Device = cpu.Open(cpu.Options{Workers: 1, World: 3, Reduce: func(ctx context.Context, v [][]float32) error {
				if sums++; sums == at {
					g.Fail(errors.New("no more memory"))
				}
				return g.AllReduce(ctx, v)
			}})
		}
	})
	return sums, errs
}

// Where each rank has statistics of its own, running ones move towards their mean over all
// ranks, not those of one: in the first
// layer, whose input does not depend on the norm, they have the mean of one device with the
// whole batch, up to the rounding of a mean of V values, √V units of their size. The
// variances of ranks leave out what lies between their means.
func TestRunningStatisticsOfRanksAreTheirMean(t *testing.T) {
	o := options(t)
	c := &o.Plan.Configurations[0]
	c.Batch, c.Network.Norm = 4, plan.BatchNorm
	o.Plan.Recipe.SyncBatchNorm = false
	s := &o.Plan.Recipe.Schedule
	s.Epochs, s.Iterations, s.ValIterations = 1, 1, 0
	const first = "encoder.stages.0.0.convs.0.norm.running_"
	_, err := train.Run(t.Context(), o)
	require.NoError(t, err)
	want := weights(t, o.Dir, checkpoint.WeightsFile)
	require.Contains(t, want, first+"mean")
	o.Dir = filepath.Join(t.TempDir(), "run")
	_, errs := together(t.Context(), t, 2, o, nil)
	require.NoError(t, errors.Join(errs...))
	got := weights(t, o.Dir, checkpoint.WeightsFile)
	units := math.Sqrt(float64(c.Batch*c.Patch[0]*c.Patch[1]*c.Patch[2])) * 0x1p-24
	for i, m := range want[first+"mean"] {
		v := float64(want[first+"var"][i]) - 0.9 // of what it began with, 1, a tenth is the batch's
		size := math.Abs(float64(m)) + math.Sqrt(v*0.1)
		assert.InDelta(t, m, got[first+"mean"][i], units*size)
		assert.LessOrEqual(t, float64(got[first+"var"][i]), 0.9+v*(1+1e-3), "a mean of variances")
		assert.Greater(t, float64(got[first+"var"][i]), 0.9)
	}
}

func TestTheRingPassesTheConformanceSuite(t *testing.T) {
	backendtest.RunGroup(t, func(t testing.TB) []backend.Device {
		const n = 3
		groups, err := ranks.JoinAll(context.Background(), n, ranks.Options{World: n})
		require.NoError(t, err)
		var devices []backend.Device
		for _, g := range groups {
			devices = append(devices, cpu.Open(cpu.Options{Workers: 1, World: n, Reduce: g.AllReduce}))
		}
		t.Cleanup(func() {
			var all sync.WaitGroup
			for _, g := range groups {
				all.Go(func() { assert.NoError(t, g.Close()) })
			}
			all.Wait()
		})
		return devices
	})
}

// inOrder is a device that does one node after the other.
type inOrder struct{ backend.Device }

func (d inOrder) Compile(p *compile.Program, bind map[graph.Region][]backend.Buffer) (backend.Executable, error) {
	e, err := d.Device.Compile(p, bind)
	return profiled{e}, err
}

type profiled struct{ backend.Executable }

func (e profiled) Run(ctx context.Context) error {
	_, err := e.Executable.(backend.Profiler).Profile(ctx)
	return err
}

// Gradients that are added up while the backward pass goes on are those that are added up
// after it, bit for bit; of two ranks also where all are added at once.
func TestWhatRunsBesideTheBackwardPassChangesNoBit(t *testing.T) {
	for _, norm := range []string{plan.InstanceNorm, plan.BatchNorm} {
		t.Run(norm+" norms", func(t *testing.T) { besideChangesNoBit(t, norm) })
	}
}

func besideChangesNoBit(t *testing.T, norm string) {
	o := options(t)
	c := &o.Plan.Configurations[0]
	c.Batch, c.BatchDice, c.Network.Norm = 4, true, norm
	o.Plan.Recipe.Schedule.Epochs = 1
	run := func(n int, change func(*train.Options)) map[string][]float32 {
		o.Dir = filepath.Join(t.TempDir(), "run")
		_, errs := together(t.Context(), t, n, o, change)
		require.NoError(t, errors.Join(errs...))
		return weights(t, o.Dir, checkpoint.StateFile)
	}
	beside := run(4, nil)
	checkpointtest.SameBits(t, beside, run(4, func(o *train.Options) { o.Device = inOrder{o.Device} }))
	checkpointtest.SameBits(t, run(2, nil), run(2, func(o *train.Options) { o.BucketBytes = 1 << 30 }))
}

func TestABatchThatCannotBeSharedIsAnError(t *testing.T) {
	o := options(t)
	_, errs := together(t.Context(), t, 3, o, nil)
	for _, err := range errs {
		require.ErrorContains(t, err, "a batch of 2 samples cannot be shared by 3 ranks: choose --batch 3")
	}
	dev := cpu.Open(cpu.Options{World: 2, Reduce: func(context.Context, [][]float32) error { return nil }})
	defer dev.Close()
	o.Device = dev
	_, err := train.Run(t.Context(), o)
	require.ErrorContains(t, err, "takes part in a group of 2 devices, the ranks are 1")
}
