package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/internal/atomicfile"
)

// Files and folders of `gounet run` in the work folder.
const (
	crossvalFolder     = "crossval"            // in the folder of a configuration: summary.json over all folds
	ensemblesFolder    = "ensembles"           // in it a folder for each pair: labels of the held-out cases, summary.json
	bestFile           = "best.json"           // a selection
	postprocessingFile = "postprocessing.json" // of the best
	pickledFile        = "postprocessing.pkl"  // the same for nnUNetv2_apply_postprocessing
	predictionsFolder  = "predictions"         // labels of the test cases; in it a folder a configuration, as the networks made them
)

// selection is what cross-validation came to.
type selection struct {
	Best           []string    `json:"best"` // configurations; several are averaged
	Folds          []string    `json:"folds"`
	Candidates     []candidate `json:"candidates"` // the best first
	Postprocessing string      `json:"postprocessing"`
	Dice           number      `json:"mean_foreground_dice_after_postprocessing"`
}

// candidate is a configuration, or a pair whose probabilities are averaged.
type candidate struct {
	Configurations []string `json:"configurations"`
	Dice           number   `json:"mean_foreground_dice"`
	Cases          int      `json:"cases"`

	summary *metric.Summary
}

func (c candidate) name() string { return strings.Join(c.Configurations, "+") }

// selector chooses among what is trained.
type selector struct {
	f    *runFlags
	a    *app
	w    *workspace
	made *plan.Plan
	runs map[string]string // case → fold that holds it out
	ids  []string          // of these cases
}

func (f *runFlags) newSelector(a *app, w *workspace, made *plan.Plan) (*selector, error) {
	s := &selector{f: f, a: a, w: w, made: made, runs: map[string]string{}}
	for _, name := range f.folds {
		fold, err := w.split(f.splits, name)
		if err != nil {
			return nil, err
		}
		for _, id := range fold.Val {
			s.runs[id] = name
			s.ids = append(s.ids, id)
		}
	}
	if slices.Sort(s.ids); len(s.ids) == 0 && len(f.configs) > 1 {
		return nil, usagef("the folds %v hold no case out, so that nothing can be compared: give one of --configs %s", f.folds, strings.Join(f.configs, ", "))
	}
	return s, nil
}

// only is what there is to choose where no case is held out.
func (s *selector) only() (*selection, error) {
	best := &selection{Best: s.f.configs, Folds: s.f.folds, Candidates: []candidate{}, Dice: number(math.NaN())}
	fmt.Fprintf(s.a.out, "best      %s, without a comparison or post-processing: the folds %v hold no case out\n", s.f.configs[0], s.f.folds)
	for _, file := range []string{postprocessingFile, pickledFile} { // of a choice before this one
		if err := os.Remove(filepath.Join(s.w.dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return best, s.keep(best)
}

// keep writes what was chosen.
func (s *selector) keep(best *selection) error {
	return atomicfile.Write(filepath.Join(s.w.dir, bestFile), func(out io.Writer) error { return printJSON(out, best) })
}

// choose scores each configuration and each pair on the cases that were held out,
// takes the best, and decides on its post-processing.
func (s *selector) choose(ctx context.Context) (*selection, error) {
	if len(s.ids) == 0 {
		return s.only()
	}
	var all []candidate
	for _, name := range s.f.configs {
		sum, err := s.crossValidation(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, candidate{[]string{name}, number(sum.ForegroundMean.Dice), len(sum.Cases), sum})
	}
	for i, a := range s.f.configs {
		for _, b := range s.f.configs[i+1:] {
			if s.f.noEnsembles {
				continue
			}
			sum, err := s.ensemble(ctx, []string{a, b})
			if err != nil {
				return nil, fmt.Errorf("ensemble of %s and %s: %w", a, b, err)
			}
			all = append(all, candidate{[]string{a, b}, number(sum.ForegroundMean.Dice), len(sum.Cases), sum})
		}
	}
	// The best first, of equal ones the simpler; an undefined Dice is below all others.
	slices.SortStableFunc(all, func(x, y candidate) int { return cmp.Compare(y.Dice, x.Dice) })
	best := &selection{Best: all[0].Configurations, Folds: s.f.folds, Candidates: all, Postprocessing: postprocessingFile}
	if err := best.print(s.a.out); err != nil {
		return nil, err
	}
	d, err := s.decide(ctx, all[0].summary)
	if err != nil {
		return nil, fmt.Errorf("post-processing: %w", err)
	}
	best.Dice = number(d.After.ForegroundMean.Dice)
	err = errors.Join(
		d.Postprocessing.Write(filepath.Join(s.w.dir, postprocessingFile)),
		d.Postprocessing.WritePickle(filepath.Join(s.w.dir, pickledFile)),
	)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(s.a.out, "post      %s: Dice %.4f, before %.4f\n", steps(d.Postprocessing), d.After.ForegroundMean.Dice, d.Before.ForegroundMean.Dice)
	return best, s.keep(best)
}

func (b *selection) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "configuration\tmean foreground Dice\tcases")
	for _, c := range b.Candidates {
		fmt.Fprintf(t, "%s\t%.4f\t%d\n", c.name(), float64(c.Dice), c.Cases)
	}
	return t.Flush()
}

// steps is a post-processing in words.
func steps(p metric.Postprocessing) string {
	if len(p) == 0 {
		return "none"
	}
	var keys []string
	for _, t := range p {
		keys = append(keys, t.Key())
	}
	return "the largest component of " + strings.Join(keys, ", then of ")
}

// validation is the folder with the labels of a held-out case.
func (s *selector) validation(name string) predict.Source {
	return func(id string) string { return filepath.Join(s.w.run(name, s.runs[id]), validationFolder) }
}

// crossValidation puts the scores of the folds of a configuration together.
func (s *selector) crossValidation(name string) (*metric.Summary, error) {
	var all *metric.Summary
	for _, fold := range s.f.folds {
		sum, err := metric.ReadSummary(filepath.Join(s.w.run(name, fold), validationFolder, summaryFile))
		switch {
		case errors.Is(err, fs.ErrNotExist): // fold all holds nothing out
		case err != nil:
			return nil, err
		case all == nil:
			all = sum
		default:
			all.Cases = append(all.Cases, sum.Cases...)
		}
	}
	if all == nil {
		return nil, fmt.Errorf("no fold of %v is validated", s.f.folds)
	}
	all = metric.Summarize(all.Targets, all.Cases, all.Surface)
	folder := filepath.Join(s.w.dir, name, crossvalFolder)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	return all, all.Write(filepath.Join(folder, summaryFile))
}

// ensemble averages what a pair says of the held-out cases, and scores it. What is
// there already, and newer than what it is made of, is kept.
func (s *selector) ensemble(ctx context.Context, pair []string) (*metric.Summary, error) {
	folder := filepath.Join(s.w.dir, ensemblesFolder, strings.Join(pair, "+"))
	o := predict.EnsembleOptionsOf(s.made)
	o.Segments = predict.Segments(s.made)
	var from []predict.Source
	for _, name := range pair {
		from = append(from, s.validation(name))
	}
	var todo []string
	for _, id := range s.ids {
		made := filepath.Join(folder, id+o.Format.Endings[0])
		for _, source := range from {
			if newer(filepath.Join(source(id), id+".npz"), made) {
				todo = append(todo, id)
				break
			}
		}
	}
	p := s.a.progressOf()
	defer p.wait()
	t := p.start("ensemble "+strings.Join(pair, "+"), "cases", len(todo))
	o.Progress = func(n, _ int) { t.set(n, "") }
	err := predict.Combine(ctx, from, todo, folder, o)
	t.end()
	if err != nil {
		return nil, err
	}
	sum, err := scoreFolder(ctx, p, s.made, s.cases(), folder)
	if err != nil {
		return nil, err
	}
	return sum, sum.Write(filepath.Join(folder, summaryFile))
}

// cases are the held-out ones.
func (s *selector) cases() (cases []dataset.Case) {
	for _, c := range s.w.raw.Cases {
		if s.runs[c.ID] != "" {
			cases = append(cases, c)
		}
	}
	return cases
}

// newer says whether a is newer than b, or b is not there.
func newer(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err2 != nil || err == nil && x.ModTime().After(y.ModTime())
}

// decide tries post-processing on scored predictions.
func (s *selector) decide(ctx context.Context, sum *metric.Summary) (*metric.Decision, error) {
	var pairs []metric.Pair
	for _, c := range sum.Cases {
		pairs = append(pairs, metric.Pair{Name: filepath.Base(c.PredictionFile), Reference: c.ReferenceFile, Prediction: c.PredictionFile})
	}
	what := structuresOf(s.made.Labels, s.made.Ignore)
	p := s.a.progressOf()
	defer p.wait()
	return decidePostprocessing(ctx, p, pairs, what, s.made.ForegroundValues())
}
