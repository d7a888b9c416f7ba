package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/atomicfile"
)

// Files and folders of `gounet run` in the work folder.
const (
	crossvalFolder    = "crossval"    // in the folder of a configuration: summary.json over all folds
	bestFile          = "best.json"   // which configuration was best
	predictionsFolder = "predictions" // labels of the test cases
)

// runFlags are the flags of `gounet run`.
type runFlags struct {
	trainFlags
	configs []string
	folds   []string
	demo    bool
}

func newRun(a *app) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run DATASET",
		Short: "all of it: plan, train every fold, choose, predict",
		Long: `run does for a data set what nnU-Net does: it plans, preprocesses, trains five
folds of every configuration, scores each held-out case, chooses the configuration
with the best mean Dice, and labels the test cases (imagesTs) with the average of
its folds. What is there already is kept: the same command continues a run that
was interrupted.

With --demo it trains a small network on one fold, for minutes rather than days,
and writes a report with pictures of the held-out cases.`,
		Example: `  gounet run Task04_Hippocampus
  gounet run DATASET --configs 3d_fullres --epochs 100 --precision bf16
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
	flags := cmd.Flags()
	flags.StringSliceVar(&f.configs, "configs", nil, "configurations, comma separated; all of the plan but the cascade if not given")
	flags.StringSliceVar(&f.folds, "folds", []string{"0", "1", "2", "3", "4"}, "folds, comma separated")
	flags.BoolVar(&f.demo, "demo", false, "one fold of a small network, and a report")
	for _, name := range []string{"resume", "no-validation"} { // run always resumes and validates
		_ = flags.MarkHidden(name) // the name is that of a flag above
	}
	return cmd
}

// ranking is how good a configuration was in cross-validation.
type ranking struct {
	Configuration string `json:"configuration"`
	Dice          number `json:"mean_foreground_dice"`
	Cases         int    `json:"cases"`
}

// runAll trains what is missing, chooses and predicts.
func (f *runFlags) runAll(ctx context.Context, a *app, w *workspace) error {
	made, err := f.prepare(ctx, a, w)
	if err != nil {
		return err
	}
	if len(f.configs) == 0 {
		for _, c := range made.Configurations {
			if c.Previous == "" {
				f.configs = append(f.configs, c.Name)
			}
		}
	}
	var scores []ranking
	for _, name := range f.configs {
		s, err := f.crossValidate(ctx, a, w, made, name)
		if err != nil {
			return err
		}
		scores = append(scores, ranking{name, number(s.ForegroundMean.Dice), len(s.Cases)})
	}
	// The best first; an undefined Dice is below all others.
	slices.SortStableFunc(scores, func(x, y ranking) int { return cmp.Compare(y.Dice, x.Dice) })
	if err := printScoresOf(a, scores); err != nil {
		return err
	}
	err = atomicfile.Write(filepath.Join(w.dir, bestFile), func(out io.Writer) error { return printJSON(out, scores) })
	if err != nil {
		return err
	}
	return f.predictTest(ctx, a, w, scores[0].Configuration)
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

// crossValidate trains and scores the folds of a configuration, and puts the
// scores of all of them together.
func (f *runFlags) crossValidate(ctx context.Context, a *app, w *workspace, made *plan.Plan, name string) (*metric.Summary, error) {
	var all *metric.Summary
	for _, fold := range f.folds {
		t := f.trainFlags
		t.fold, t.output = fold, ""
		file := filepath.Join(w.run(name, fold), validationFolder, summaryFile)
		_, err := os.Stat(file)
		if err == nil { // kept, if it was made with the same settings
			_, err = t.planOf(made, name, w.run(name, fold))
		} else if errors.Is(err, fs.ErrNotExist) {
			err = t.run(ctx, a, w, name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s, fold %s: %w", name, fold, err)
		}
		s, err := metric.ReadSummary(file)
		if errors.Is(err, fs.ErrNotExist) { // fold all holds nothing out
			continue
		}
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = s
		} else {
			all.Cases = append(all.Cases, s.Cases...)
		}
	}
	if all == nil {
		return nil, fmt.Errorf("%s: the folds %v hold no case out, so that nothing can be compared", name, f.folds)
	}
	all = metric.Summarize(all.Targets, all.Cases, all.Surface)
	folder := filepath.Join(w.dir, name, crossvalFolder)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	return all, all.Write(filepath.Join(folder, summaryFile))
}

func printScoresOf(a *app, scores []ranking) error {
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "configuration\tmean foreground Dice\tcases")
	for _, s := range scores {
		fmt.Fprintf(t, "%s\t%.4f\t%d\n", s.Configuration, float64(s.Dice), s.Cases)
	}
	return t.Flush()
}

// predictTest labels the test cases with the average of the folds.
func (f *runFlags) predictTest(ctx context.Context, a *app, w *workspace, name string) error {
	if len(w.raw.Test) == 0 {
		fmt.Fprintf(a.out, "best      %s; the data set has no imagesTs to label\n", name)
		return nil
	}
	m, err := checkpoint.OpenWith(filepath.Join(w.dir, name), checkpoint.Options{Folds: f.folds})
	if err != nil {
		return err
	}
	p := a.progressOf()
	defer p.wait()
	folder := filepath.Join(w.dir, predictionsFolder)
	if err := f.label(ctx, a, p, "predict", m, w.raw.Test, folder); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "predicted %d test cases with %s: %s\n", len(w.raw.Test), name, folder)
	return nil
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
	fmt.Fprintf(a.out, "\nmean foreground Dice of %d held-out cases: %.4f\nreport      %s\nlabels      %s\nlook at it with any viewer of NIfTI files, or label your own scans:\n  gounet predict --model %s --input SCANS --output LABELS\n",
		len(s.Cases), s.ForegroundMean.Dice, output, filepath.Join(dir, validationFolder), dir)
	return nil
}
