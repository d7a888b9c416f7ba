// Package train is the training loop: it streams augmented batches to a device,
// runs the plan's training step, follows losses and Dice, and leaves a run folder
// that prediction loads and that training continues from, whenever it ended.
//
// The one idea: the state of a training is one file, written at once. Random
// numbers depend on the step alone, so that a run that was killed and resumed
// has the bits of one that was not.
package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
	"github.com/gounet/gounet/internal/ranks"
)

// Options are a training. The recipe of the plan has everything else.
type Options struct {
	Plan          *plan.Plan
	Configuration string
	Fold          string // "0" … or "all"; goes into the checkpoint
	Train, Val    []*dataset.Sample
	Before        map[string]string // of a cascade: by fold, a hash of the network of the first stage whose labels the samples have
	Dir           string            // the run folder
	Device        backend.Device
	Group         *ranks.Group // the ranks that train together, Device's part in AllReduce among them; nil: this one alone
	Storage       graph.DType  // of activations
	Seed          uint64
	Rematerialise bool
	Resident      int64                        // bytes of cases that lie on the device; 0: what it has left, if it has memory of its own; −1: none
	BucketBytes   int64                        // of gradients that a Group adds up at once; 0: 16 MiB
	MaxTime       time.Duration                // ends after the epoch in which it is over; 0: no limit
	Every         int                          // epochs between checkpoints; 0: 50, as nnU-Net
	Pretrained    *checkpoint.Model            // begin with its weights where they fit; nil: with fresh ones
	Resume        bool                         // continue from the state in Dir
	Settings      map[string]any               // every value that was used: SettingsFile in the run folder
	Progress      func(Progress)               // after each step and each epoch; may be nil
	Stored        func(cases int, bytes int64) // before the first step, where training cases lie on the device; may be nil
}

// Progress is what a step or an epoch came to.
type Progress struct {
	Epoch, Epochs    int
	Iteration, Total int // within the epoch; Iteration = Total: the epoch is over
	Loss             float64
	Dice             float64 // pseudo Dice of the last validation, mean of the foreground
	ImagesPerSecond  float64
	Done             *Epoch // the epoch that is over, or nil
}

// Result is how a training ended.
type Result struct {
	Epochs  []Epoch
	Stopped string // "" for all epochs, else why it ended early: patience, time
	Time    Timing
}

// Timing says where the time went, in seconds. Loading and augmentation overlap
// with steps; Wait is what steps waited for them.
type Timing struct {
	Load     float64 `json:"load"`
	Augment  float64 `json:"augment"`
	Wait     float64 `json:"wait"`
	Step     float64 `json:"step"`
	Validate float64 `json:"validate"`
}

// lossScale of a fresh 16-bit training, and the steps after which it doubles:
// PyTorch's GradScaler.
const (
	lossScale = 65536
	growth    = 2000
)

// trainer is a training under way.
type trainer struct {
	Options
	config     *plan.Configuration
	recipe     plan.Recipe
	local      int // samples of a step that are this rank's
	first      int // of them in the batch of all ranks
	step, val  *unet.Train
	train, eva *backend.Session
	batches    *batcher
	due        []lossOf  // of the steps that are not counted yet, in order
	kept       *resident // training cases that lie on the device; nil: none
	state      state
	started    time.Time
}

// Run trains until the schedule, patience or time is over. A cancelled ctx
// leaves a checkpoint and returns ctx's error.
//
// The run folder has one writer: while another process trains into it, Run fails
// before it has written anything.
//
// In a Group every rank calls Run with the same options. Rank 0 alone reads and writes
// the run folder. An error on one rank ends all, and leaves a checkpoint.
func Run(ctx context.Context, o Options) (*Result, error) {
	res, err := runInFolder(ctx, o)
	if err != nil {
		if o.Group != nil {
			o.Group.Fail(err)
		}
		return nil, fmt.Errorf("train: %w", err)
	}
	return res, nil
}

func runInFolder(ctx context.Context, o Options) (*Result, error) {
	if o.Group != nil && o.Group.Rank != 0 {
		return train(ctx, o)
	}
	release, err := TakeFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	res, err := train(ctx, o)
	return res, errors.Join(err, release())
}

func train(ctx context.Context, o Options) (*Result, error) {
	t, err := newTrainer(ctx, o)
	if err != nil {
		return nil, err
	}
	defer t.close()
	return t.run(ctx)
}

func newTrainer(ctx context.Context, o Options) (*trainer, error) {
	t := &trainer{Options: o, config: o.Plan.Configuration(o.Configuration), started: time.Now()}
	if t.config == nil {
		return nil, fmt.Errorf("the plan has no configuration %s, but %v", o.Configuration, o.Plan.ConfigurationNames())
	}
	for _, s := range slices.Concat(o.Train, o.Val) {
		if t.config.Previous != "" && s.Previous == nil {
			return nil, fmt.Errorf("case %s has no labels of %s, which %s needs: train and validate all folds of that first", s.ID, t.config.Previous, t.config.Name)
		}
	}
	if len(o.Train) == 0 {
		return nil, errors.New("no cases to train on")
	}
	if t.Every == 0 {
		t.Every = 50
	}
	t.recipe = o.Plan.Recipe.For(t.config)
	if err := t.share(); err != nil {
		return nil, err
	}
	if err := t.compile(); err != nil {
		return nil, err
	}
	err := t.begin(ctx)
	for _, p := range []struct {
		session *backend.Session
		net     *unet.Train
	}{{t.train, t.step}, {t.eva, t.val}} {
		if err == nil {
			err = writeConstants(ctx, p.session, p.net)
		}
	}
	if err == nil {
		err = t.fillStore(ctx)
	}
	if err == nil {
		err = t.writeSettings()
	}
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *trainer) close() {
	if t.eva != nil {
		t.eva.Close()
	}
	if t.train != nil {
		t.train.Close()
	}
}

// run is the loop over epochs.
func (t *trainer) run(ctx context.Context) (*Result, error) {
	s := t.recipe.Schedule
	res := &Result{}
	for t.state.Epoch < s.Epochs {
		if s.Patience > 0 && t.state.Epoch-t.state.BestEpoch-1 >= s.Patience {
			res.Stopped = fmt.Sprintf("patience: no better Dice in %d epochs", s.Patience)
			break
		}
		e, err := t.epoch(ctx)
		if err != nil {
			return nil, t.broken(ctx, err)
		}
		if err := t.finish(context.WithoutCancel(ctx), e); err != nil {
			return nil, err
		}
		over, err := t.late(ctx)
		if err != nil {
			return nil, t.broken(ctx, err)
		}
		if over {
			res.Stopped = fmt.Sprintf("time: %v are over", t.MaxTime)
			break
		}
	}
	if err := t.save(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	res.Epochs, res.Time = t.state.Log, t.state.Time
	return res, nil
}

// finish logs an epoch that is over and keeps checkpoints. It is not cancelled: what is
// interrupted leaves its checkpoint before the next step.
func (t *trainer) finish(ctx context.Context, e Epoch) error {
	if err := t.sameWeights(ctx); err != nil {
		return t.broken(ctx, err)
	}
	t.state.Log = append(t.state.Log, e)
	t.state.Epoch++
	t.state.Iteration, t.state.LossSum = 0, 0
	if t.state.BestEpoch < 0 || e.EMA > t.state.BestEMA {
		t.state.BestEMA, t.state.BestEpoch = e.EMA, e.Epoch
		if err := t.saveBest(ctx); err != nil {
			return err
		}
	}
	if err := t.writeLogs(e); err != nil {
		return err
	}
	if t.state.Epoch%t.Every == 0 {
		if err := t.save(ctx); err != nil {
			return err
		}
	}
	if t.Progress != nil {
		s := t.recipe.Schedule
		t.Progress(Progress{
			Epoch: e.Epoch, Epochs: s.Epochs, Iteration: s.Iterations, Total: s.Iterations,
			Loss: float64(e.TrainLoss), Dice: float64(e.MeanDice), ImagesPerSecond: e.ImagesPerSecond, Done: &e,
		})
	}
	return nil
}

// epoch trains the iterations that are left of the epoch, and validates.
func (t *trainer) epoch(ctx context.Context) (Epoch, error) {
	s := t.recipe.Schedule
	begin, first := time.Now(), t.state.Iteration
	rate := Rate(t.recipe, t.state.Epoch)
	feed, stop := t.batches.start(ctx, t.state.Steps(s), s.Iterations-first, t.Seed, true)
	defer stop()
	tell := func() {
		i := t.state.Iteration
		if t.Progress != nil {
			t.Progress(Progress{
				Epoch: t.state.Epoch, Epochs: s.Epochs, Iteration: i, Total: s.Iterations + s.ValIterations,
				Loss: t.state.LossSum / float64(i), Dice: t.lastDice(),
				ImagesPerSecond: float64((i-first)*t.config.Batch) / time.Since(begin).Seconds(),
			})
		}
	}
	if err := t.steps(ctx, feed, rate, tell); err != nil {
		return Epoch{}, fmt.Errorf("epoch %d, iteration %w", t.state.Epoch, err)
	}
	trained := time.Since(begin)
	e := Epoch{
		Epoch: t.state.Epoch, Rate: rate, TrainLoss: Number(t.state.LossSum / float64(s.Iterations)),
		ImagesPerSecond: float64((s.Iterations-first)*t.config.Batch) / trained.Seconds(),
	}
	var ctl [graph.CtlRows]float32
	if err := t.train.ReadF32(ctx, t.step.Ctl, ctl[:]); err != nil {
		return Epoch{}, err
	}
	e.LossScale, e.Skipped = float64(ctl[graph.CtlLossScale]), int(ctl[graph.CtlSkipped])
	if err := t.validate(ctx, &e); err != nil {
		return Epoch{}, fmt.Errorf("epoch %d, validation: %w", t.state.Epoch, err)
	}
	e.Seconds = time.Since(begin).Seconds()
	e.Time = t.state.Time
	return e, nil
}

func (t *trainer) lastDice() float64 {
	if n := len(t.state.Log); n > 0 {
		return float64(t.state.Log[n-1].MeanDice)
	}
	return math.NaN()
}

// validate measures loss and pseudo Dice on random patches of the validation
// cases, nnU-Net's measure of progress.
func (t *trainer) validate(ctx context.Context, e *Epoch) error {
	nan := Number(math.NaN())
	e.EMA, e.MeanDice, e.ValLoss = nan, nan, nan
	n := t.recipe.Schedule.ValIterations
	if len(t.Val) == 0 || n == 0 {
		e.EMA = -e.TrainLoss // the best by the training loss, where nothing else is known
		return nil
	}
	begin := time.Now()
	feed, stop := t.batches.start(ctx, t.state.Epoch*n, n, ^t.Seed, false)
	defer stop()
	sums := make([]float64, t.Plan.Classes()*graph.SumsLen)
	hard := make([]float32, t.local*len(sums))
	e.ValLoss = 0
	for range n {
		b, err := t.take(ctx, feed)
		if err != nil {
			return err
		}
		loss, err := t.runBatch(ctx, t.eva, t.val, b)
		t.batches.recycle(b)
		if err != nil {
			return err
		}
		value, err := loss.wait(ctx)
		if err != nil {
			return err
		}
		if err := t.eva.ReadF32(ctx, t.val.Hard, hard); err != nil {
			return err
		}
		e.ValLoss += Number(value / float64(n))
		for i, v := range hard {
			sums[i%len(sums)] += float64(v)
		}
	}
	if err := t.reduceValidation(ctx, e, sums); err != nil {
		return err
	}
	e.measure(sums, t.Plan, t.state.Log)
	t.state.Time.Validate += time.Since(begin).Seconds()
	return nil
}
