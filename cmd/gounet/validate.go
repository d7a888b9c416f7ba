package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
)

// summaryFile has the scores of a validation, in nnU-Net's form.
const summaryFile = "summary.json"

// validate labels the held-out cases of a run with its last weights, the sliding
// window and mirroring, as nnU-Net does in the end, and scores them. o has what
// a cascade needs beside that.
func validate(ctx context.Context, a *app, p *progress, w *workspace, dir string, ids []string, f *deviceFlags, o predict.FolderOptions) (*metric.Summary, error) {
	pr, release, err := f.predictor(a, dir, checkpoint.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = release() }() // nothing is left to lose
	cases := w.cases(ids)
	folder := filepath.Join(dir, validationFolder)
	if err := label(ctx, p, "validate", pr, cases, folder, o); err != nil {
		return nil, err
	}
	s, err := scoreFolder(ctx, p, pr.Model.Plan, cases, folder)
	if err != nil {
		return nil, err
	}
	if err := s.Write(filepath.Join(folder, summaryFile)); err != nil {
		return nil, err
	}
	fmt.Fprintf(a.out, "validated %s, mean foreground Dice %.4f, HD95 %s: %s\n", count(len(cases), "case"), s.ForegroundMean.Dice, millimetres(s.ForegroundMean.HD95), folder)
	return s, nil
}

// cases are those of ids, in the order of the data set.
func (w *workspace) cases(ids []string) (cases []dataset.Case) {
	for _, c := range w.raw.Cases {
		if slices.Contains(ids, c.ID) {
			cases = append(cases, c)
		}
	}
	return cases
}

// label segments cases into a folder, with a bar.
func label(ctx context.Context, p *progress, what string, pr *predict.Predictor, cases []dataset.Case, folder string, o predict.FolderOptions) error {
	t := p.start(what, "cases", len(cases))
	defer t.end()
	o.Progress = func(v predict.FolderProgress) { t.set(v.N, v.Case) }
	return predict.Folder(ctx, pr, cases, folder, o)
}

// scoreFolder compares the label maps of cases in folder with the references.
func scoreFolder(ctx context.Context, p *progress, made *plan.Plan, cases []dataset.Case, folder string) (*metric.Summary, error) {
	ending := predict.LabelFormat(made).Endings[0]
	var pairs []metric.Pair
	for _, c := range cases {
		pairs = append(pairs, metric.Pair{Name: c.ID, Reference: c.Label, Prediction: filepath.Join(folder, c.ID+ending)})
	}
	what := structuresOf(made.Labels, made.Ignore)
	t := p.start("score", "cases", len(pairs))
	defer t.end()
	return metric.EvaluatePairs(ctx, pairs, what.labels, metric.FolderOptions{
		Options: metric.Options{Ignore: what.ignore, Surface: true, Tolerance: 1}, Regions: what.regions, // mm
		Progress: func(n, _ int, _ metric.Case) { t.set(n, "") },
	})
}

// millimetres is a distance in words; it is undefined where a structure was not found.
func millimetres(v float64) string {
	if math.IsNaN(v) {
		return "undefined, a structure is missing"
	}
	return fmt.Sprintf("%.2f mm", v)
}
