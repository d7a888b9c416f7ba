package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/plan"
)

// workspace is the folder with all that is made of a data set: its fingerprint
// and plan, the preprocessed cases, the runs. The data set itself is only read.
//
//	WORK/plan.json
//	WORK/dataset_fingerprint.json
//	WORK/preprocessed/CONFIGURATION/CASE.safetensors
//	WORK/CONFIGURATION/fold_N/            a run folder each
type workspace struct {
	dir string
	raw *dataset.Raw
}

// addWorkFlag declares --work.
func addWorkFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "work", "", "`folder` for plan, preprocessed cases and runs (default gounet_work/NAME of the data set)")
}

// openWorkspace opens the data set in dir. An empty work is the default folder.
func openWorkspace(dir, work string) (*workspace, error) {
	raw, err := dataset.Open(dir)
	if err != nil {
		return nil, err
	}
	if work == "" {
		work = filepath.Join("gounet_work", raw.Name())
	}
	return &workspace{dir: work, raw: raw}, nil
}

func (w *workspace) planFile() string        { return filepath.Join(w.dir, plan.FileName) }
func (w *workspace) fingerprintFile() string { return filepath.Join(w.dir, "dataset_fingerprint.json") }

// preprocessed is the folder of the preprocessed cases of a configuration.
func (w *workspace) preprocessed(configuration string) string {
	return filepath.Join(w.dir, "preprocessed", configuration)
}

// measure checks the data set, measures it and keeps the fingerprint.
func (w *workspace) measure(ctx context.Context, p *progress) (*plan.Fingerprint, error) {
	t := p.start("check", "cases", len(w.raw.Cases))
	defer t.end()
	fp, err := w.raw.Measure(ctx, func(n, _ int, what string) { t.set(n, what) })
	if err != nil {
		return nil, err
	}
	t.set(len(w.raw.Cases), "")
	if err := os.MkdirAll(w.dir, 0o777); err != nil {
		return nil, fmt.Errorf("work folder: %w", err)
	}
	return fp, fp.Save(w.fingerprintFile())
}

// loadPlan reads the plan of the work folder, or makes and keeps one with
// nnU-Net's defaults if there is none.
func (w *workspace) loadPlan(ctx context.Context, p *progress) (*plan.Plan, error) {
	_, err := os.Stat(w.planFile())
	if err == nil {
		return plan.Load(w.planFile())
	}
	if !os.IsNotExist(err) {
		return nil, err
	}
	fp, err := w.measure(ctx, p)
	if err != nil {
		return nil, err
	}
	made, err := plan.Make(fp, w.raw.JSON, plan.Options{Dataset: w.raw.Name()})
	if err != nil {
		return nil, err
	}
	if err := made.Save(w.planFile()); err != nil {
		return nil, err
	}
	p.print("plan      %s", w.planFile())
	return made, nil
}

// configuration returns the one called name, or an error that lists what p has.
func configuration(p *plan.Plan, name string) (*plan.Configuration, error) {
	if c := p.Configuration(name); c != nil {
		return c, nil
	}
	return nil, usagef("configuration %q: the plan has %s", name, join(p.ConfigurationNames(), ", "))
}
