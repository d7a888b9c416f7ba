package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/plan"
)

func newPreprocess(a *app) *cobra.Command {
	work := ""
	cmd := &cobra.Command{
		Use:   "preprocess DATASET [CONFIG ...]",
		Short: "crop, resample and normalise the cases of a data set",
		Long: `preprocess makes of every training case what a configuration of the plan trains
on: cropped to its non-zero region, resampled, normalised. Cases that are there
already and were made by the same plan are kept. Without CONFIG it prepares all
configurations of the plan; without a plan it makes one first.`,
		Example: `  gounet preprocess Task04_Hippocampus
  gounet preprocess DATASET 3d_fullres --work FOLDER`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("DATASET is missing")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPreprocess(cmd.Context(), a, args[0], work, args[1:])
		},
	}
	addWorkFlag(cmd, &work)
	return cmd
}

func runPreprocess(ctx context.Context, a *app, dir, work string, names []string) error {
	w, err := openWorkspace(dir, work)
	if err != nil {
		return err
	}
	p := a.progressOf()
	defer p.wait()
	made, err := w.loadPlan(ctx, p)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = made.ConfigurationNames()
	}
	for _, name := range names {
		c, err := configuration(made, name)
		if err != nil {
			return err
		}
		start := time.Now()
		store, err := w.preprocess(ctx, p, made, c)
		if err != nil {
			return err
		}
		cases := len(store.Samples)
		if err := store.Close(); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "%s: %d cases in %s, %s\n", name, cases, w.preprocessed(name), seconds(time.Since(start)))
	}
	return nil
}

// preprocess makes the store of configuration c, or what is missing of it.
func (w *workspace) preprocess(ctx context.Context, p *progress, made *plan.Plan, c *plan.Configuration) (*dataset.Store, error) {
	t := p.start("preprocess "+c.Name, "cases", len(w.raw.Cases))
	defer t.end()
	return w.raw.Preprocess(ctx, made, c, w.preprocessed(c.Name), func(n, _ int, what string) { t.set(n, what) })
}
