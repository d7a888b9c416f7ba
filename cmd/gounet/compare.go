package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/internal/atomicfile"
	htmlreport "github.com/gounet/gounet/internal/report"
)

// compare writes the comparison of several runs.
func (f *reportFlags) compare(ctx context.Context, a *app, dirs []string) error {
	if f.dataset != "" {
		return usagef("--dataset is of the report of one run: a comparison shows no scans")
	}
	output := f.output
	if output == "" {
		output = reportFile
	}
	if err := checkOutput("--output", output); err != nil {
		return err
	}
	names, err := runNames(dirs)
	if err != nil {
		return err
	}
	c := &htmlreport.Comparison{}
	for i, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := comparedRun(dir)
		if err != nil {
			return err
		}
		r.Name = names[i]
		c.Runs = append(c.Runs, r)
	}
	c.Title = c.Runs[0].Plan.Dataset
	found, err := c.Compare()
	if err != nil {
		return err
	}
	if err := atomicfile.Write(output, func(w io.Writer) error { return c.Write(w, found) }); err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(a.out, found)
	}
	fmt.Fprintf(a.out, "report    %s\n", output)
	return nil
}

// comparedRun reads what a comparison needs of a run folder.
func comparedRun(dir string) (r htmlreport.Run, err error) {
	m, err := checkpoint.Open(dir)
	if err != nil {
		return r, err
	}
	r.Plan, r.Configuration = m.Plan, m.Configuration
	if r.Facts, err = facts(dir, m); err != nil {
		return r, err
	}
	if r.Epochs, err = train.ReadLog(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	r.Summary, err = metric.ReadSummary(filepath.Join(dir, validationFolder, "summary.json"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return r, err
}

// runNames are the shortest ends of the paths by which the folders differ.
func runNames(dirs []string) ([]string, error) {
	paths := make([]string, len(dirs))
	for i, dir := range dirs {
		at, err := resolve(dir)
		if err != nil {
			return nil, err
		}
		if slices.Contains(paths[:i], at) {
			return nil, usagef("%s is there twice: a comparison is of different runs", dir)
		}
		paths[i] = at
	}
	for n := 1; ; n++ {
		names := make([]string, len(paths))
		for i, path := range paths {
			parts := strings.Split(filepath.ToSlash(path), "/")
			names[i] = strings.Join(parts[max(0, len(parts)-n):], "/")
		}
		sorted := slices.Clone(names)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) == len(names) {
			return names, nil
		}
	}
}
