package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/voxel"
)

// postprocessFlags are the flags of `gounet postprocess`.
type postprocessFlags struct {
	references, steps, output string
	structures                evaluateFlags // which labels there are
}

func newPostprocess(a *app) *cobra.Command {
	var f postprocessFlags
	cmd := &cobra.Command{
		Use:   "postprocess FOLDER",
		Short: "decide on post-processing of label maps, or do it",
		Long: `postprocess finds out on the label maps of FOLDER and their --references whether
keeping the largest component raises the Dice, of all structures together and then of
each, as nnUNetv2_determine_postprocessing does. It writes what to do to --steps and,
as nnU-Net's postprocessing.pkl, beside it. With --output it does that to the label
maps; without --references it does what --steps says already.

Labels and regions are those of --labels or --dataset-json, else of a plan.json or
dataset.json in or above either folder, else those that the references have.`,
		Example: `  gounet postprocess validation --references labelsTr
  gounet postprocess predictions --steps validation/postprocessing.json --output postprocessed`,
		Args: wantArgs("FOLDER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), a, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.references, "references", "", "`folder` with the reference of each label map; others in it are left out")
	flags.StringVar(&f.steps, "steps", "", "the postprocessing.json `file` to write, or without --references to read (default that in FOLDER)")
	flags.StringVar(&f.output, "output", "", "`folder` for the label maps that this was done to")
	flags.IntSliceVar(&f.structures.labels, "labels", nil, "these labels, comma separated")
	flags.StringVar(&f.structures.datasetJSON, "dataset-json", "", "labels and regions from this dataset.json or plan.json `file`")
	return cmd
}

func (f *postprocessFlags) run(ctx context.Context, a *app, folder string) error {
	if f.references == "" && f.output == "" {
		return usagef("--references, to decide, or --output, for the label maps that --steps is done to: at least one is needed")
	}
	if f.steps == "" {
		f.steps = filepath.Join(folder, postprocessingFile)
	}
	if f.output != "" {
		if err := f.checkOutput(folder); err != nil {
			return err
		}
	}
	if f.references != "" {
		if err := f.decide(ctx, a, folder); err != nil {
			return err
		}
	}
	if f.output == "" {
		return nil
	}
	return f.apply(ctx, a, folder)
}

// checkOutput keeps the label maps of folder from being overwritten.
func (f *postprocessFlags) checkOutput(folder string) error {
	in, err := filepath.Abs(folder)
	out, err2 := filepath.Abs(f.output)
	if err := errors.Join(err, err2, checkOutput("--output", f.output)); err != nil {
		return err
	}
	if in == out {
		return usagef("--output %s has the label maps themselves: choose another folder", f.output)
	}
	return nil
}

// decide writes the steps that raise the Dice.
func (f *postprocessFlags) decide(ctx context.Context, a *app, folder string) error {
	if err := checkOutput("--steps", f.steps); err != nil {
		return err
	}
	pairs, err := metric.Match(f.references, folder, true)
	if err != nil {
		return err
	}
	what, err := f.structures.structures(f.references, folder)
	if err != nil {
		return err
	}
	p := a.progressOf()
	defer p.wait()
	d, err := decidePostprocessing(ctx, p, pairs, what, what.values())
	if err != nil {
		return err
	}
	pickled := filepath.Join(filepath.Dir(f.steps), pickledFile)
	if err := errors.Join(d.Postprocessing.Write(f.steps), d.Postprocessing.WritePickle(pickled)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "post      %s: Dice %.4f, before %.4f: %s\n", steps(d.Postprocessing), d.After.ForegroundMean.Dice, d.Before.ForegroundMean.Dice, f.steps)
	return err
}

// values are those of all structures, each once, in order.
func (s structures) values() []int {
	all := slices.Concat(append(slices.Clone(s.regions), s.labels)...)
	slices.Sort(all)
	return slices.Compact(all)
}

// decidePostprocessing is metric.Decide with a bar.
func decidePostprocessing(ctx context.Context, p *progress, pairs []metric.Pair, what structures, foreground []int) (*metric.Decision, error) {
	t := p.start("post-processing", "cases", len(pairs)*(2+len(what.labels)+len(what.regions)))
	defer t.end()
	done := 0
	return metric.Decide(ctx, pairs, what.labels, foreground, metric.FolderOptions{
		Options: metric.Options{Ignore: what.ignore}, Regions: what.regions,
		Progress: func(int, int, metric.Case) { done++; t.set(done, "") },
	})
}

// apply does the steps to the label maps of folder.
func (f *postprocessFlags) apply(ctx context.Context, a *app, folder string) error {
	files, err := metric.Files(folder)
	if err != nil {
		return err
	}
	post, err := metric.ReadPostprocessing(f.steps)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s: name the file as --steps, or decide with --references first", f.steps)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.output, 0o777); err != nil {
		return err
	}
	p := a.progressOf()
	defer p.wait()
	t := p.start("post-process", "cases", len(files))
	defer t.end()
	for i, file := range files {
		if err := postprocessFile(ctx, post, file, f.output); err != nil {
			return err
		}
		t.set(i+1, filepath.Base(file))
	}
	t.end()
	_, err = fmt.Fprintf(a.out, "%s, %s: %s\n", count(len(files), "label map"), steps(post), f.output)
	return err
}

// postprocessFile writes the label map that is made of file into the folder out, in the
// same format where that is written.
func postprocessFile(ctx context.Context, post metric.Postprocessing, file, out string) (err error) {
	s, err := scan.Open(ctx, scan.Options{Alone: true}, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	labels, segments, err := s.Labels()
	if err != nil {
		return err
	}
	post.Apply(labels)
	name := filepath.Base(file)
	ending := voxel.Ending(name)
	format := scan.ResultFormat(ending)
	return s.WriteLabels(filepath.Join(out, name[:len(name)-len(ending)]+format.Endings[0]), labels, segments)
}
