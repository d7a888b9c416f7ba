package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/voxel"
)

// evaluateFlags are the flags of `gounet evaluate`.
type evaluateFlags struct {
	output      string
	labels      []int
	datasetJSON string
	subset      bool
	surface     bool
	tolerance   float64
	asJSON      bool
}

func newEvaluate(a *app) *cobra.Command {
	var f evaluateFlags
	cmd := &cobra.Command{
		Use:   "evaluate REFERENCE_DIR PREDICTION_DIR",
		Short: "score predicted label maps against references",
		Long: `evaluate compares label maps of the same names: Dice, IoU, voxel counts and
volumes, and with --surface the distances between the surfaces. summary.json has
nnU-Net's form.

Labels and regions are those of --labels or --dataset-json, else of a plan.json
or dataset.json in or above either folder, else those that the references have.`,
		Example: `  gounet evaluate labelsTs predictions --output summary.json
  gounet evaluate labelsTr validation --subset --surface --labels 1,2`,
		Args: wantArgs("REFERENCE_DIR", "PREDICTION_DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), a, args[0], args[1])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.output, "output", "", "write the summary to this `file`")
	flags.IntSliceVar(&f.labels, "labels", nil, "score these labels, comma separated")
	flags.StringVar(&f.datasetJSON, "dataset-json", "", "labels and regions from this dataset.json or plan.json `file`")
	flags.BoolVar(&f.subset, "subset", false, "references without a prediction are left out instead of an error")
	flags.BoolVar(&f.surface, "surface", false, "also HD95, HD, average surface distance and surface Dice")
	flags.Float64Var(&f.tolerance, "tolerance", 1, "of the surface Dice, in `mm`")
	flags.BoolVar(&f.asJSON, "json", false, "print the summary as JSON")
	return cmd
}

func (f *evaluateFlags) run(ctx context.Context, a *app, references, predictions string) error {
	if strings.HasSuffix(f.output, ".nii") || strings.HasSuffix(f.output, ".gz") {
		return usagef("--output %s is a scan by its name: the scores are JSON, for example summary.json", f.output)
	}
	if f.output != "" {
		if err := checkFile("--output", f.output); err != nil {
			return err
		}
	}
	scored, err := f.structures(references, predictions)
	if err != nil {
		return err
	}
	p := a.progressOf()
	defer p.wait()
	var bar *task
	o := metric.FolderOptions{
		Options: metric.Options{Ignore: scored.ignore, Surface: f.surface, Tolerance: f.tolerance},
		Regions: scored.regions,
		Subset:  f.subset,
		Progress: func(done, total int, c metric.Case) {
			if bar == nil {
				bar = p.start("evaluate", "cases", total)
			}
			bar.set(done, filepath.Base(c.PredictionFile))
		},
	}
	summary, err := metric.Evaluate(ctx, references, predictions, scored.labels, o)
	if bar != nil {
		bar.end()
	}
	if err != nil {
		return err
	}
	return f.give(a, summary, scored.names)
}

// give prints the scores, and writes them where --output says: what cannot be written is
// printed all the same.
func (f *evaluateFlags) give(a *app, summary *metric.Summary, names map[string]string) error {
	var err error
	if f.output != "" {
		if err = folderOf(f.output); err == nil {
			err = summary.Write(f.output)
		}
	}
	if f.asJSON {
		return errors.Join(err, summary.Encode(a.out))
	}
	nowhere(a.err, summary)
	return errors.Join(err, printScores(a.out, summary, names))
}

// nowhere tells of labels without a voxel, whose scores are not defined.
func nowhere(w io.Writer, s *metric.Summary) {
	for i, target := range s.Targets {
		if s.Mean[i].NRef == 0 && s.Mean[i].NPred == 0 {
			fmt.Fprintf(w, "note: label %s is in no reference and in no prediction\n", target.Key())
		}
	}
}

// structures are what is scored.
type structures struct {
	labels  []int
	regions [][]int
	ignore  int               // 0: none
	names   map[string]string // of a target's key, where known
}

// structures finds the labels in the order that the help text gives.
func (f *evaluateFlags) structures(references, predictions string) (structures, error) {
	if len(f.labels) > 0 {
		return structures{labels: f.labels}, nil
	}
	if f.datasetJSON != "" {
		return readStructures(f.datasetJSON)
	}
	for _, dir := range []string{predictions, filepath.Dir(filepath.Clean(predictions)), references, filepath.Dir(filepath.Clean(references))} {
		for _, name := range []string{plan.FileName, "dataset.json"} {
			file := filepath.Join(dir, name)
			if _, err := os.Stat(file); err == nil {
				return readStructures(file)
			}
		}
	}
	return labelsOf(references)
}

// readStructures reads labels and regions of a plan.json or a dataset.json.
func readStructures(file string) (structures, error) {
	var labels []plan.Label
	var ignore int
	if filepath.Base(file) == plan.FileName {
		p, err := plan.Load(file)
		if err != nil {
			return structures{}, err
		}
		labels, ignore = p.Labels, p.Ignore
	} else {
		d, err := plan.LoadDatasetJSON(file)
		if err != nil {
			return structures{}, err
		}
		labels, ignore = d.Labels, d.Ignore
	}
	return structuresOf(labels, ignore), nil
}

// structuresOf is what labels ask to be scored.
func structuresOf(labels []plan.Label, ignore int) structures {
	s := structures{ignore: max(0, ignore), names: map[string]string{}}
	regions := slices.ContainsFunc(labels, func(l plan.Label) bool { return len(l.Values) > 1 })
	for _, l := range labels {
		if len(l.Values) == 1 && l.Values[0] == 0 {
			continue
		}
		s.names[metric.Target(l.Values).Key()] = l.Name
		if regions {
			s.regions = append(s.regions, l.Values)
		} else {
			s.labels = append(s.labels, l.Values...)
		}
	}
	return s
}

// labelsOf collects the labels of all maps in dir, without the background.
func labelsOf(dir string) (structures, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return structures{}, err
	}
	var seen [256]bool
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || strings.HasPrefix(name, ".") || !slices.Contains(scan.LabelEndings(), voxel.Ending(name)) {
			continue
		}
		m, err := scan.ReadLabels(filepath.Join(dir, name))
		if err != nil {
			return structures{}, err
		}
		for _, v := range m.Data {
			seen[v] = true
		}
	}
	var s structures
	for v := 1; v < len(seen); v++ {
		if seen[v] {
			s.labels = append(s.labels, v)
		}
	}
	if len(s.labels) == 0 {
		return s, fmt.Errorf("%s: its label maps have no label above 0: say with --labels what to score", dir)
	}
	return s, nil
}

// printScores prints the means over the cases, a line a structure.
func printScores(w io.Writer, s *metric.Summary, names map[string]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "label\tDice\tIoU\tvolume\treference"
	if s.Surface {
		head += "\tHD95\tASSD\tsurface Dice"
	}
	fmt.Fprintln(t, head)
	length := "mm"
	if math.IsNaN(s.ForegroundMean.VolumeRef) { // pictures
		length = "px"
	}
	line := func(name string, m metric.Scores) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s", name, score(m.Dice), score(m.IoU), extent(m.VolumePred, m.NPred), extent(m.VolumeRef, m.NRef))
		if s.Surface {
			fmt.Fprintf(t, "\t%s %s\t%s %s\t%s", score(m.HD95), length, score(m.ASSD), length, score(m.SurfaceDice))
		}
		fmt.Fprintln(t)
	}
	for i, target := range s.Targets {
		name := target.Key()
		if names[name] != "" {
			name += " " + names[name]
		}
		line(name, s.Mean[i])
	}
	line("foreground", s.ForegroundMean)
	fmt.Fprintln(t, count(len(s.Cases), "case"))
	return t.Flush()
}

// extent is a volume in mL, or the pixels of a structure in pictures.
func extent(ml, voxels float64) string {
	if math.IsNaN(ml) {
		return fmt.Sprintf("%.1f px", voxels)
	}
	return fmt.Sprintf("%.2f mL", ml)
}

// score writes a number with four digits, and – where it is not defined.
func score(v float64) string {
	if math.IsNaN(v) {
		return "–"
	}
	return fmt.Sprintf("%.4f", v)
}
