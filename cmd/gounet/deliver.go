package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/internal/atomicfile"
)

// deliver labels the test cases with what was chosen. Those that cannot be labelled are
// named in the end, when all others are.
func (s *selector) deliver(ctx context.Context, best *selection) error {
	tests := slices.Clone(s.w.raw.Test)
	if len(tests) == 0 {
		fmt.Fprintf(s.a.out, "best      %s; the data set has no imagesTs to label\n", strings.Join(best.Best, "+"))
		return nil
	}
	var post metric.Postprocessing
	if best.Postprocessing != "" {
		var err error
		if post, err = metric.ReadPostprocessing(filepath.Join(s.w.dir, best.Postprocessing)); err != nil {
			return err
		}
	}
	folder := filepath.Join(s.w.dir, predictionsFolder)
	var from []predict.Source
	var failed []error
	for _, name := range best.Best {
		if err := s.label(ctx, name, len(best.Best) > 1, &tests); !goesOn(err) {
			return fmt.Errorf("%s: %w", name, err)
		} else if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		}
		from = append(from, predict.In(filepath.Join(folder, name)))
	}
	o := predict.EnsembleOptionsOf(s.made)
	o.Segments, o.Postprocessing = predict.Segments(s.made), post
	var ids []string
	for _, c := range tests { // those that all of them have labelled
		ids = append(ids, c.ID)
	}
	if err := predict.Combine(ctx, from, ids, folder, o); err != nil {
		return err
	}
	if err := errors.Join(s.made.Save(filepath.Join(folder, plan.FileName)), s.record(folder)); err != nil {
		return err
	}
	fmt.Fprintf(s.a.out, "predicted %d test cases with %s: %s\n", len(tests), strings.Join(best.Best, "+"), folder)
	return errors.Join(failed...)
}

// goesOn says whether err leaves something to be done: it is nil or of some cases only.
func goesOn(err error) bool {
	var some *predict.CasesError
	return err == nil || errors.As(err, &some) && len(some.IDs) < some.Total
}

// label makes what is missing of the labels of tests by one configuration, and those of
// its first stage before that. Of tests it takes those that cannot be labelled.
func (s *selector) label(ctx context.Context, name string, probabilities bool, tests *[]dataset.Case) (err error) {
	c, err := configuration(s.made, name)
	if err != nil {
		return err
	}
	o := predict.FolderOptions{Probabilities: probabilities, Continue: true}
	if c.Previous != "" {
		before := s.label(ctx, c.Previous, false, tests)
		if !goesOn(before) {
			return before
		}
		defer func() {
			if goesOn(err) {
				err = errors.Join(before, err)
			}
		}()
		ending := predict.LabelFormat(s.made).Endings[0]
		first := filepath.Join(s.w.dir, predictionsFolder, c.Previous)
		o.Previous = func(c dataset.Case) string { return filepath.Join(first, c.ID+ending) }
	}
	folder := filepath.Join(s.w.dir, predictionsFolder, name)
	if err := s.dropOutdated(name, folder); err != nil {
		return err
	}
	pr, release, err := s.f.predictor(s.a, filepath.Join(s.w.dir, name), checkpoint.Options{Folds: s.f.folds})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	p := s.a.progressOf()
	defer p.wait()
	err = label(ctx, p, "predict "+name, pr, *tests, folder, o)
	if some := (*predict.CasesError)(nil); errors.As(err, &some) {
		*tests = slices.DeleteFunc(*tests, func(c dataset.Case) bool { return slices.Contains(some.IDs, c.ID) })
	}
	return err
}

// scansFile has the stamps of the scans that the labels beside it are of.
const scansFile = "scans.json"

// dropOutdated removes labels of test cases that are not what the networks of today say
// of the scans of today: all where a network is newer, else those of scans that were
// replaced.
func (s *selector) dropOutdated(name, folder string) error {
	ending := predict.LabelFormat(s.made).Endings[0]
	all := s.newerNetwork(name, folder, ending)
	now, was, err := s.stamps(folder)
	if err != nil {
		return err
	}
	for _, c := range s.w.raw.Test {
		labels := filepath.Join(folder, c.ID+ending)
		if !all && was[c.ID] == now[c.ID] {
			continue
		}
		for _, file := range []string{labels, filepath.Join(folder, c.ID+".npz")} {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(folder, scansFile), func(out io.Writer) error { return printJSON(out, now) })
}

// stamps are those of the test cases now, and those that the labels in folder are of.
func (s *selector) stamps(folder string) (now, was map[string]string, err error) {
	b, err := os.ReadFile(filepath.Join(folder, scansFile))
	if err == nil {
		err = json.Unmarshal(b, &was)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	now = map[string]string{}
	for _, c := range s.w.raw.Test {
		if now[c.ID], err = c.Stamp(); err != nil {
			now[c.ID] = was[c.ID] // it is gone: its labels are still those of what it was
		}
	}
	return now, was, nil
}

// newerNetwork says whether a network is newer than a label map of a test case.
func (s *selector) newerNetwork(name, folder, ending string) bool {
	files, err := filepath.Glob(filepath.Join(folder, "*"+ending))
	if err != nil {
		return false
	}
	for _, fold := range s.f.folds {
		weights := filepath.Join(s.w.run(name, fold), checkpoint.WeightsFile)
		if slices.ContainsFunc(files, func(f string) bool { return newer(weights, f) }) {
			return true
		}
	}
	return false
}
