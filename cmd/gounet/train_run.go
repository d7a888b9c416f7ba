package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/internal/ranks"
)

// run trains one fold of a configuration, and validates it.
func (f *trainFlags) run(ctx context.Context, a *app, w *workspace, name string) error {
	if err := f.check(a); err != nil {
		return err
	}
	c, err := f.join(ctx, a, w, name)
	if err != nil {
		return err
	}
	p := a.progressOf()
	if !c.leads() {
		p = newProgress(io.Discard, true) // the first one says it
	}
	defer p.wait()
	r := &ready{}
	err = c.inTurn(ctx, func() error { return f.prepare(ctx, a, w, p, name, r) })
	if err == nil {
		err = f.trainOn(ctx, a, w, p, c, r)
	}
	validates := !f.noValidation && len(r.fold.Val) > 0
	o := predict.FolderOptions{Probabilities: f.probabilities, Continue: c.world() > 1}
	if err == nil && r.before != nil {
		o.Previous = r.before.labels(r.Plan)
	}
	if err == nil && validates && c.world() > 1 {
		err = f.labelTogether(ctx, p, w, c, r, o)
	}
	if r.store != nil {
		err = errors.Join(err, r.store.Close())
	}
	if err = c.leave(err); err != nil {
		return err
	}
	if !validates || !c.leads() {
		return nil
	}
	_, err = validate(ctx, a, p, w, r.Dir, r.fold.Val, &f.deviceFlags, o)
	return err
}

// ready is what a training has before it has a device.
type ready struct {
	train.Options
	store  *dataset.Store
	fold   dataset.Fold
	before *stage // of a cascade
}

// prepare makes the plan, preprocessed cases and labels of the previous stage that are
// missing.
func (f *trainFlags) prepare(ctx context.Context, a *app, w *workspace, p *progress, name string, r *ready) error {
	made, err := w.loadPlan(ctx, p)
	if err != nil {
		return err
	}
	c, err := configuration(made, name)
	if err != nil {
		return err
	}
	if r.fold, err = w.split(f.splits, f.fold); err != nil {
		return err
	}
	all := slices.Concat(r.fold.Train, r.fold.Val)
	if c.Previous != "" { // before hours of preprocessing
		if r.before, err = w.stageBefore(f.splits, c); err == nil {
			err = r.before.trained(all)
		}
		if err != nil {
			return err
		}
	}
	r.Options = train.Options{
		Configuration: name, Fold: f.fold, Dir: f.output, Seed: f.seed,
		MaxTime: f.maxTime, Every: f.every, Resume: f.resume, Rematerialise: f.rematerialise, Resident: f.resident(),
	}
	if r.Dir == "" {
		r.Dir = w.run(name, f.fold)
	}
	if r.Plan, err = f.planOf(made, name, r.Dir); err != nil {
		return err
	}
	if f.resume {
		if err := f.sameCases(r.Dir, r.fold); err != nil {
			return err
		}
		if err := f.sameStart(a.settings, r.Dir); err != nil {
			return err
		}
		whole, err := f.ended(made, name, r.Dir)
		if err != nil {
			return err
		}
		w.warnEdited(p, r.Dir, r.fold, whole)
	}
	if r.before != nil {
		if r.Before, err = r.before.before(all); err != nil {
			return err
		}
	}
	if f.resume && r.before != nil {
		if why, err := r.before.outdated(r.Dir, all); err != nil {
			return err
		} else if why != "" {
			return usagef("%s: remove that folder to train again, or choose another %s", why, f.elsewhere())
		}
	}
	if err := f.pretrain(r); err != nil {
		return err
	}
	if r.store, err = w.preprocess(ctx, p, made, c); err != nil {
		return err
	}
	if r.Train, err = r.store.Subset(r.fold.Train); err != nil {
		return err
	}
	if r.Val, err = r.store.Subset(r.fold.Val); err != nil {
		return err
	}
	if r.before != nil {
		if err := r.before.give(ctx, a, p, &f.deviceFlags, slices.Concat(r.Train, r.Val)); err != nil {
			return err
		}
	}
	return nil
}

// trainOn trains on the devices of this process.
func (f *trainFlags) trainOn(ctx context.Context, a *app, w *workspace, p *progress, c *crew, r *ready) error {
	if err := c.agree(ctx, f, r); err != nil {
		return err
	}
	return c.each(func(g *ranks.Group) (err error) {
		o := r.Options
		o.Group = g
		if g == nil {
			o.Device, err = f.open(a.settings)
		} else {
			o.Device, err = f.openRank(ctx, c, g, true)
		}
		if err != nil {
			return err
		}
		defer o.Device.Close()
		if o.Storage, err = f.storage(o.Device); err != nil {
			return err
		}
		if g != nil && g.Rank != 0 {
			_, err := train.Run(ctx, o)
			return err
		}
		o.Settings = f.used(a, w, o)
		if !o.Rematerialise {
			part := *o.Plan.Configuration(o.Configuration)
			part.Batch = max(1, part.Batch/c.world())
			if m, err := train.MemoryOf(o.Plan, &part, o.Storage); err == nil { // else training says what is wrong
				p.print("memory    %s%s: %s on the device, %s beside it", size(m.Total()), c.every(), size(m.Device()), size(m.Host))
			}
		}
		o.Stored = func(cases int, bytes int64) {
			p.print("cases     %d of %d lie on the device: %s", cases, len(o.Train), size(bytes))
		}
		return trainWithBar(ctx, a, p, o)
	})
}

// trainWithBar trains, with a bar over all steps.
func trainWithBar(ctx context.Context, a *app, p *progress, o train.Options) error {
	s := o.Plan.Recipe.Schedule
	steps := s.Iterations + s.ValIterations
	t := p.start("train", "steps", s.Epochs*steps)
	defer t.end()
	o.Progress = func(g train.Progress) {
		done := g.Epoch*steps + g.Iteration
		if g.Done != nil {
			done = (g.Epoch + 1) * steps
		}
		note := fmt.Sprintf("epoch %d/%d, loss %.3f", g.Epoch+1, g.Epochs, g.Loss)
		if !math.IsNaN(g.Dice) {
			note += fmt.Sprintf(", Dice %.3f", g.Dice)
		}
		t.set(done, fmt.Sprintf("%s, %.1f images/s", note, g.ImagesPerSecond))
	}
	res, err := train.Run(ctx, o)
	if err != nil {
		return err
	}
	t.end()
	if o.Pretrained != nil {
		if err := printPretrained(a, o.Dir); err != nil {
			return err
		}
	}
	last := res.Epochs[len(res.Epochs)-1]
	dice := "not measured"
	if d := float64(last.MeanDice); !math.IsNaN(d) {
		dice = fmt.Sprintf("%.3f", d)
	}
	fmt.Fprintf(a.out, "trained   %s, loss %.3f, pseudo Dice %s: %s\n", count(len(res.Epochs), "epoch"), float64(last.TrainLoss), dice, o.Dir)
	if res.Stopped != "" {
		fmt.Fprintf(a.out, "ended     by %s\n", res.Stopped)
	}
	m := res.Time
	fmt.Fprintf(a.out, "time      step %s, validation %s, waited for data %s (load %s, augment %s beside it)\n",
		of(m.Step), of(m.Validate), of(m.Wait), of(m.Load), of(m.Augment))
	return nil
}

func of(s float64) string { return seconds(time.Duration(s * float64(time.Second))) }
