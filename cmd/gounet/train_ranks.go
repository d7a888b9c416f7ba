package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	cpu "github.com/gounet/gounet/backend_cpu"
	cuda "github.com/gounet/gounet/backend_cuda"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/internal/ranks"
)

// crew is the ranks of this process among those that train together.
type crew struct {
	place  ranks.Place
	groups []*ranks.Group // none where the process trains alone
}

// leads says whether this process has rank 0.
func (c *crew) leads() bool { return c.place.Rank == 0 }

func (c *crew) world() int { return max(1, c.place.World) * max(1, len(c.groups)) }

// every says that a number is of each rank.
func (c *crew) every() string {
	if c.world() == 1 {
		return ""
	}
	return fmt.Sprintf(" on each of %d ranks", c.world())
}

// checkRanks looks at what was typed about several devices.
func (f *trainFlags) checkRanks(s *settings) error {
	name, which, _ := strings.Cut(f.device, ":")
	switch several := f.place.World > 1 || f.gpus > 1 || f.ranks > 1; {
	case f.gpus > 0 && f.ranks > 0:
		return usagef("--gpus and --ranks: give one of them")
	case f.gpus > 0 && s.setByUser("device") && f.device != onCUDA:
		return usagef("--gpus and --device %s: --gpus takes NVIDIA GPUs, leave --device away", f.device)
	case f.gpus > 1 || f.ranks > 1, !several:
		if f.ranks > 1 && name != onCPU {
			return usagef("--ranks and --device %s: --ranks shares the processor; --gpus takes GPUs", f.device)
		}
	case name != onCPU && name != onCUDA:
		return usagef("device %q: several processes train on cpu or cuda", f.device)
	case name == onCUDA && which != "":
		if _, err := ordinalOf(which); err != nil {
			return usagef("device %q: wanted cuda, or cuda: and the number of a GPU, from 0 on", f.device)
		}
	}
	if f.gpus > 0 {
		f.device = onCUDA
	}
	return f.deviceFlags.check(s)
}

// tryTogether says why the GPUs that this process takes cannot train together, before hours
// are spent on what they are to train on.
func (f *trainFlags) tryTogether() error {
	name, which, _ := strings.Cut(f.device, ":")
	if name != onCUDA || f.place.World <= 1 && f.gpus <= 1 {
		return nil
	}
	if which != "" {
		last, _ := ordinalOf(which) // which was checked
		return cuda.Together(last + 1)
	}
	return cuda.Together((f.place.Local + 1) * max(1, f.gpus))
}

// join meets the other ranks, where there are any.
func (f *trainFlags) join(ctx context.Context, a *app, w *workspace, name string) (*crew, error) {
	c, here := &crew{place: f.place}, max(1, f.ranks, f.gpus)
	world := max(1, c.place.World) * here
	if world == 1 {
		return c, nil
	}
	if world > ranks.MostRanks {
		return nil, usagef("%d ranks, wanted at most %d", world, ranks.MostRanks)
	}
	o := ranks.Options{Rank: c.place.Rank * here, World: world, Master: c.place.Master, Facts: map[string]string{
		"gounet": version, "data set": w.raw.Name(), "CONFIG": name, "--fold": f.fold, "--seed": strconv.FormatUint(f.seed, 10),
		"--device": strings.SplitN(f.device, ":", 2)[0], "--precision": f.precision, "--max-time": f.maxTime.String(), "ranks of a process": strconv.Itoa(here),
	}}
	if c.leads() && o.Master != "" {
		fmt.Fprintf(a.err, "waiting for %s at %s\n", count(world-here, "other rank"), o.Master)
	}
	var err error
	c.groups, err = ranks.JoinAll(ctx, here, o)
	return c, err
}

// worst is the error that says most: not that of a rank that ended because of another.
func worst(errs []error) error {
	var last error
	for _, err := range errs {
		var lost *ranks.LostError
		if err != nil && !errors.As(err, &lost) && !errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil && (last == nil || errors.Is(err, context.Canceled)) {
			last = err
		}
	}
	return last
}

// each runs f for every rank of this process, at once.
func (c *crew) each(f func(g *ranks.Group) error) error {
	if len(c.groups) == 0 {
		return f(nil)
	}
	errs := make([]error, len(c.groups))
	var all sync.WaitGroup
	for i, g := range c.groups {
		all.Go(func() {
			if errs[i] = f(g); errs[i] != nil {
				g.Fail(errs[i])
			}
		})
	}
	all.Wait()
	return worst(errs)
}

// inTurn runs f on the process of rank 0, then on the first process of every other
// host, then on the rest: what the first ones leave in a folder they share is there.
func (c *crew) inTurn(ctx context.Context, f func() error) error {
	mine := 2
	switch {
	case c.leads():
		mine = 0
	case c.place.Local == 0:
		mine = 1
	}
	for turn := range 3 {
		if turn == mine {
			if err := f(); err != nil {
				return err
			}
		}
		if c.place.World <= 1 {
			return nil
		}
		if err := c.each(func(g *ranks.Group) error { return g.Wait(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// agree makes sure that every process trains the same with the same.
func (c *crew) agree(ctx context.Context, f *trainFlags, r *ready) error {
	made, err := json.Marshal(r.Plan)
	if err != nil {
		return err
	}
	ids := func(list []*dataset.Sample) (text string) {
		for _, s := range list {
			text += s.ID + "\n"
		}
		return text
	}
	before, err := json.Marshal(r.Before)
	if err != nil {
		return err
	}
	facts := map[string]string{
		"networks of the first stage": digest(string(before)),
		"plan":                        digest(string(made)), "list of cases": digest(ids(r.Train) + "\n" + ids(r.Val)), "--low-memory": strconv.FormatBool(f.rematerialise),
	}
	return c.each(func(g *ranks.Group) error {
		for _, name := range slices.Sorted(maps.Keys(facts)) {
			if g != nil {
				if err := g.Agree(ctx, name, facts[name]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func digest(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text)))[:16] }

// leave ends the work of this process in its groups, with an error or when all are
// done.
func (c *crew) leave(err error) error {
	if len(c.groups) == 0 {
		return err
	}
	if err != nil {
		for _, g := range c.groups {
			g.Fail(err)
		}
	}
	left := c.each((*ranks.Group).Close)
	if err == nil {
		err = left
	}
	return err
}

// labelTogether shares the held-out cases among the ranks that see the run folder. What
// is missing then, as those do not share a disk, is left to rank 0.
func (f *trainFlags) labelTogether(ctx context.Context, p *progress, w *workspace, c *crew, r *ready, o predict.FolderOptions) error {
	folder, cases := filepath.Join(r.Dir, validationFolder), w.cases(r.fold.Val)
	for _, one := range cases {
		if !c.leads() {
			break
		}
		old := filepath.Join(folder, one.ID+predict.LabelFormat(r.Plan).Endings[0]) // of other weights, it may be
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return c.each(func(g *ranks.Group) error {
		if err := g.Wait(ctx); err != nil {
			return err
		}
		var mine []dataset.Case
		for i := g.Rank; i < len(cases); i += g.World {
			mine = append(mine, cases[i])
		}
		if _, err := os.Stat(filepath.Join(r.Dir, checkpoint.WeightsFile)); err == nil && len(mine) > 0 {
			open := func() (backend.Device, error) { return f.openRank(ctx, c, g, false) }
			pr, release, err := f.predictorOn(open, r.Dir, checkpoint.Options{})
			if err != nil {
				return err
			}
			show := p
			if g.Rank != 0 {
				show = newProgress(io.Discard, true)
			}
			if err := errors.Join(label(ctx, show, "validate", pr, mine, folder, o), release()); err != nil {
				return err
			}
		}
		return g.Wait(ctx)
	})
}

// openRank opens the device of a rank, as one of the group or alone.
func (f *trainFlags) openRank(ctx context.Context, c *crew, g *ranks.Group, together bool) (backend.Device, error) {
	name, which, _ := strings.Cut(f.device, ":")
	here := g.Rank % len(c.groups) // in this process
	if name == onCPU {
		o := cpu.Options{Workers: max(1, f.workers()/len(c.groups)), ISA: which}
		if together {
			o.World, o.Reduce = g.World, g.AllReduce
		}
		return cpu.Open(o), nil
	}
	gpu := here
	if c.place.World > 1 {
		gpu = c.place.Local*len(c.groups) + here
	}
	if which != "" {
		gpu, _ = ordinalOf(which) // which was checked
	}
	o := f.cuda(gpu)
	if together {
		share := func(id []byte) error { return g.Broadcast(ctx, id) }
		o.Group = &cuda.Group{Rank: g.Rank, World: g.World, Share: share, Ended: g.Ended(), Fail: g.Fail}
	}
	return cuda.Open(o)
}
