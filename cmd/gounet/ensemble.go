package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
)

// ensembleFlags are the flags of `gounet ensemble`.
type ensembleFlags struct {
	output, plan, postprocess string
	probabilities             bool
	part                      string
}

func newEnsemble(a *app) *cobra.Command {
	var f ensembleFlags
	cmd := &cobra.Command{
		Use:   "ensemble FOLDER FOLDER ... --output FOLDER",
		Short: "average what several models say of scans",
		Long: `ensemble averages the probabilities that predict --save-probabilities, or nnU-Net's
--save_probabilities, left in the folders, decides, and writes labels on the grid of
the labels in the first folder. Each folder has CASE.npz of every case, the first
also CASE.nii.gz and a plan.json, or nnU-Net's plans.json and dataset.json, which say
what the classes are.`,
		Example: `  gounet ensemble labels_2d labels_3d --output labels
  gounet ensemble a b c --output labels --save-probabilities --postprocess gounet_work/NAME/postprocessing.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef("%d folders: wanted two or more to average", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), a, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.output, "output", "", "`folder` for the labels")
	flags.StringVar(&f.plan, "plan", "", "plan.json `file` that says what the classes are (default that of the first folder)")
	flags.StringVar(&f.postprocess, "postprocess", "", "do to the labels what this postprocessing.json `file` says")
	flags.BoolVar(&f.probabilities, "save-probabilities", false, "also write the averaged CASE.npz")
	flags.StringVar(&f.part, "part", "", "`i/n`: only every n-th case, from the i-th on")
	return cmd
}

func (f *ensembleFlags) run(ctx context.Context, a *app, folders []string) error {
	if f.output == "" {
		return usagef("--output is missing")
	}
	if err := checkOutput("--output", f.output); err != nil {
		return err
	}
	made, err := f.planOf(folders[0])
	if err != nil {
		return err
	}
	o := predict.EnsembleOptionsOf(made)
	o.Segments, o.Probabilities = predict.Segments(made), f.probabilities
	if f.postprocess != "" {
		if o.Postprocessing, err = metric.ReadPostprocessing(f.postprocess); err != nil {
			return err
		}
	}
	ids, err := sameCases(folders)
	if err != nil {
		return err
	}
	if ids, err = partOf(f.part, ids); err != nil {
		return err
	}
	var from []predict.Source
	for _, folder := range folders {
		if same, err := filepath.Abs(folder); err == nil {
			if out, err := filepath.Abs(f.output); err == nil && same == out {
				return usagef("--output %s is one of the folders to average: choose another", f.output)
			}
		}
		from = append(from, predict.In(folder))
	}
	p := a.progressOf()
	defer p.wait()
	t := p.start("ensemble", "cases", len(ids))
	o.Progress = func(n, _ int) { t.set(n, "") }
	err = predict.Combine(ctx, from, ids, f.output, o)
	t.end()
	if err != nil {
		return err
	}
	if err := made.Save(filepath.Join(f.output, plan.FileName)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s of %s averaged: %s\n", count(len(ids), "case"), count(len(folders), "model"), f.output)
	return err
}

// planOf is the plan that says what the classes of the first folder are.
func (f *ensembleFlags) planOf(folder string) (*plan.Plan, error) {
	if f.plan != "" {
		return plan.Load(f.plan)
	}
	made, err := planIn(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usagef("%w: say with --plan what the classes are", err)
	}
	return made, err
}

// planIn is the plan in a folder, ours or nnU-Net's.
func planIn(folder string) (*plan.Plan, error) {
	own := filepath.Join(folder, plan.FileName)
	if _, err := os.Stat(own); err == nil {
		return plan.Load(own)
	}
	ds, err := plan.LoadDatasetJSON(filepath.Join(folder, "dataset.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s has neither %s nor nnU-Net's plans.json and dataset.json: %w", folder, plan.FileName, os.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(folder, "plans.json"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	return plan.ReadNNUNet(file, ds)
}

// sameCases are those of all folders, which must have the same.
func sameCases(folders []string) ([]string, error) {
	first, err := predict.CasesIn(folders[0])
	if err != nil {
		return nil, err
	}
	for _, folder := range folders[1:] {
		ids, err := predict.CasesIn(folder)
		if err != nil {
			return nil, err
		}
		for _, id := range slices.Concat(first, ids) {
			if !slices.Contains(ids, id) || !slices.Contains(first, id) {
				return nil, fmt.Errorf("case %s is in one of %s and %s only: predict the same scans with both", id, folders[0], folder)
			}
		}
	}
	return first, nil
}
