package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/internal/atomicfile"
	"github.com/gounet/gounet/internal/filelock"
)

// runFlags are the flags of `gounet run`.
type runFlags struct {
	trainFlags
	configs []string
	folds   []string
	demo    bool

	noEnsembles bool
	part        string
}

func newRun(a *app) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run DATASET",
		Short: "all of it: plan, train every fold, choose, predict",
		Long: `run does for a data set what nnU-Net does: it plans, preprocesses, trains five
folds of every configuration, the cascade last, scores each held-out case, chooses
the configuration or pair of them with the best mean Dice, decides on
post-processing, and labels the test cases (imagesTs) with the average of the folds.
What is there already is kept: the same command continues a run that was
interrupted. With --folds all it trains one configuration on all cases, without a choice.
With --part several processes or machines share the trainings.

With --demo it trains a small network on one fold, for minutes rather than days,
and writes a report with pictures of the held-out cases.`,
		Example: `  gounet run Task04_Hippocampus
  gounet run DATASET --configs 3d_fullres --epochs 100 --precision bf16
  gounet run DATASET --part 2/4
  gounet run testdata/hippocampus --work demo --demo`,
		Args: wantArgs("DATASET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := openWorkspace(args[0], f.work)
			if err == nil {
				if f.demo {
					err = f.runDemo(cmd.Context(), a, w)
				} else {
					err = f.runAll(cmd.Context(), a, w)
				}
			}
			if err != nil {
				return fmt.Errorf("run: %w", err)
			}
			return nil
		},
	}
	addWorkFlag(cmd, &f.work)
	f.add(cmd)
	f.other = "--work"
	flags := cmd.Flags()
	flags.StringSliceVar(&f.configs, "configs", nil, "configurations, comma separated; all of the plan if not given")
	flags.StringSliceVar(&f.folds, "folds", []string{"0", "1", "2", "3", "4"}, "folds, comma separated")
	flags.BoolVar(&f.noEnsembles, "no-ensembles", false, "do not try pairs of configurations, which needs the probabilities of all held-out cases on disk")
	flags.StringVar(&f.part, "part", "", "`i/n`: train only every n-th fold, from the i-th on, so that n processes or machines share the work folder")
	flags.BoolVar(&f.demo, "demo", false, "one fold of a small network, and a report")
	for _, name := range []string{"resume", "no-validation"} { // run always resumes and validates
		_ = flags.MarkHidden(name) // the name is that of a flag above
	}
	return cmd
}

// record writes the settings of the run into a folder that is there.
func (s *selector) record(dir string) error {
	used := s.a.settings.used()
	maps.Copy(used, map[string]any{"dataset": s.made.Dataset, "work": s.w.dir, "configs": s.f.configs, "folds": s.f.folds, "version": version})
	return atomicfile.Write(filepath.Join(dir, train.SettingsFile), func(w io.Writer) error { return printJSON(w, used) })
}

// selectionLock keeps two parts of a run from choosing at the same time.
const selectionLock = ".selection.lock"

// runAll trains what is missing, chooses and predicts.
func (f *runFlags) runAll(ctx context.Context, a *app, w *workspace) error {
	made, err := f.prepare(ctx, a, w)
	if err != nil {
		return err
	}
	s, err := f.newSelector(a, w, made)
	if err != nil {
		return err
	}
	if err := s.record(w.dir); err != nil {
		return err
	}
	left, err := f.trainAll(ctx, a, w, made)
	if err != nil {
		return err
	}
	if left != (unfinished{}) {
		left.print(a.out, f.part)
		return nil
	}
	release, err := filelock.Take(filepath.Join(w.dir, selectionLock))
	if held := (*filelock.HeldError)(nil); errors.As(err, &held) {
		fmt.Fprintf(a.out, "part %s   is done; process %d chooses and predicts\n", f.part, held.PID)
		return nil
	}
	if err != nil {
		return err
	}
	best, err := s.choose(ctx)
	if err == nil {
		err = s.deliver(ctx, best)
	}
	return errors.Join(err, release())
}

// training is a fold of a configuration with the flags that it is trained with.
type training struct {
	trainFlags
	name string // of the configuration
}

// trainings are all folds of all configurations, in the order that parts share them.
func (f *runFlags) trainings() (all []training) {
	for _, name := range f.configs {
		for _, fold := range f.folds {
			t := training{f.trainFlags, name}
			t.fold, t.output = fold, ""
			t.probabilities = len(f.configs) > 1 && !f.noEnsembles
			all = append(all, t)
		}
	}
	return all
}

// unfinished is what is not trained and validated.
type unfinished struct {
	others  int // trainings of other parts
	waiting int // of this one, which wait for the first stages of other parts
}

func (u unfinished) print(w io.Writer, part string) {
	is := "is done"
	if u.waiting > 0 {
		is = fmt.Sprintf("has no more to do now: for %s of it first stages of other parts are missing, give the same command again when those are trained", count(u.waiting, "training"))
	}
	fmt.Fprintf(w, "part %s   %s; %s of other parts not yet: the last part to end chooses and predicts\n", part, is, count(u.others, "training"))
}

// trainAll trains and validates this part's share of all folds.
func (f *runFlags) trainAll(ctx context.Context, a *app, w *workspace, made *plan.Plan) (left unfinished, err error) {
	i, n, err := parsePart(f.part)
	if err != nil {
		return left, err
	}
	p := a.lines() // each training draws its own bars
	try := func(t training, mine bool) (done bool, err error) {
		done, err = t.done(a, p, made, w, t.name)
		if err == nil && !done && mine {
			if err = t.renew(p, made, w, t.name); err == nil {
				err = t.run(ctx, a, w, t.name)
			}
			done = err == nil
		}
		if errors.Is(err, errFirstStage) && n > 1 {
			return false, nil // another part trains it
		}
		if err != nil {
			err = fmt.Errorf("%s, fold %s: %w", t.name, t.fold, err)
		}
		return done, err
	}
	var open []int // indices of trainings that are not done
	all := f.trainings()
	for k, t := range all {
		done, err := try(t, k%n == i-1)
		if err != nil {
			return left, err
		}
		if !done {
			open = append(open, k)
		}
	}
	// Hours have gone by: other parts have ended, perhaps, and first stages are there.
	// The part that ends last finds all of them.
	for _, k := range open {
		mine := k%n == i-1
		done, err := try(all[k], mine)
		switch {
		case err != nil:
			return left, err
		case !done && mine:
			left.waiting++
		case !done:
			left.others++
		}
	}
	return left, nil
}

// prepare makes plan and checks before the first hour is spent.
func (f *runFlags) prepare(ctx context.Context, a *app, w *workspace) (*plan.Plan, error) {
	if err := f.check(a); err != nil {
		return nil, err
	}
	f.resume = true
	p := a.progressOf()
	defer p.wait()
	made, err := w.loadPlan(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := w.checkTests(ctx, p, false); err != nil {
		return nil, err
	}
	if len(f.configs) == 0 {
		f.configs = made.ConfigurationNames()
		if !slices.ContainsFunc(f.folds, func(fold string) bool { return fold != "all" }) { // nothing is held out by which one could be chosen
			f.configs = []string{mainOf(made)}
		}
	}
	for _, name := range f.configs {
		if _, err := configuration(made, name); err != nil {
			return nil, err
		}
	}
	for _, fold := range f.folds {
		if _, err := w.split(f.splits, fold); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// mainOf is the configuration that is trained where none can be chosen: the one of the full
// resolution, else the first.
func mainOf(made *plan.Plan) string {
	if c := made.Configuration(plan.ConfigFullRes); c != nil {
		return c.Name
	}
	return made.ConfigurationNames()[0]
}

// What the demo trains where no flag says otherwise: a network of a quarter of
// nnU-Net's width, for some minutes. With so few steps Adam gets further than
// nnU-Net's SGD.
var demo = trainFlags{
	fold: "0", width: 8, batch: 2, epochs: 16, iterations: 50, valBatches: 8, every: 5,
	optimizer: plan.Adam, rate: 3e-3,
}

// runDemo trains one fold, labels its held-out cases and writes the report.
func (f *runFlags) runDemo(ctx context.Context, a *app, w *workspace) error {
	if err := f.check(a); err != nil {
		return err
	}
	t := f.trainFlags
	t.fold, t.resume, t.every = demo.fold, true, demo.every
	t.width, t.batch = cmp.Or(t.width, demo.width), cmp.Or(t.batch, demo.batch)
	t.epochs, t.iterations = cmp.Or(t.epochs, demo.epochs), cmp.Or(t.iterations, demo.iterations)
	t.optimizer, t.rate = cmp.Or(t.optimizer, demo.optimizer), cmp.Or(t.rate, demo.rate)
	if t.valBatches < 0 {
		t.valBatches = demo.valBatches
	}
	if err := t.run(ctx, a, w, plan.ConfigFullRes); err != nil {
		return err
	}
	dir := w.run(plan.ConfigFullRes, t.fold)
	output := filepath.Join(w.dir, reportFile)
	if err := writeReport(ctx, dir, "", output); err != nil {
		return err
	}
	s, err := metric.ReadSummary(filepath.Join(dir, validationFolder, summaryFile))
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "\nmean foreground Dice of %d held-out cases: %.4f\nreport      %s\nlabels      %s\nlook at it with any viewer of NIfTI files, or label your own scans:\n  gounet predict --model %s --input SCANS --output LABELS\n%s",
		len(s.Cases), s.ForegroundMean.Dice, output, filepath.Join(dir, validationFolder), dir, inBrowser(pageMissing() == ""))
	return nil
}
