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
// window and mirroring, as nnU-Net does in the end, and scores them.
func validate(ctx context.Context, a *app, p *progress, w *workspace, dir string, ids []string, f *deviceFlags) (*metric.Summary, error) {
	m, err := checkpoint.Open(dir)
	if err != nil {
		return nil, err
	}
	var cases []dataset.Case
	for _, c := range w.raw.Cases {
		if slices.Contains(ids, c.ID) {
			cases = append(cases, c)
		}
	}
	folder := filepath.Join(dir, validationFolder)
	if err := f.label(ctx, a, p, "validate", m, cases, folder); err != nil {
		return nil, err
	}
	s, err := scoreFolder(ctx, p, m.Plan, cases, folder)
	if err != nil {
		return nil, err
	}
	if err := s.Write(filepath.Join(folder, summaryFile)); err != nil {
		return nil, err
	}
	fmt.Fprintf(a.out, "validated %s, mean foreground Dice %.4f, HD95 %s: %s\n", count(len(cases), "case"), s.ForegroundMean.Dice, millimetres(s.ForegroundMean.HD95), folder)
	return s, nil
}

// label segments cases with a model into a folder, with a bar.
func (f *deviceFlags) label(ctx context.Context, a *app, p *progress, what string, m *checkpoint.Model, cases []dataset.Case, folder string) error {
	dev, err := f.open(a.settings)
	if err != nil {
		return err
	}
	defer func() { _ = dev.Close() }() // nothing is left to lose
	o := predict.Options{Device: dev}
	if o.Storage, err = f.storage(dev); err != nil {
		return err
	}
	pr, err := predict.New(m, o)
	if err != nil {
		return err
	}
	defer pr.Close()
	t := p.start(what, "cases", len(cases))
	defer t.end()
	return predict.Folder(ctx, pr, cases, folder, predict.FolderOptions{
		Progress: func(v predict.FolderProgress) { t.set(v.N, v.Case) },
	})
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
