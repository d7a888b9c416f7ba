package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/internal/atomicfile"
	htmlreport "github.com/gounet/gounet/internal/report"
)

// reportFile is the report in a run folder.
const reportFile = "report.html"

// reportFlags are the flags of `gounet report`.
type reportFlags struct {
	output, dataset string
	asJSON          bool
}

func newReport(a *app) *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use:   "report RUN...",
		Short: "write what came of a training, or of several beside each other, as one HTML file",
		Long: `report writes curves, scores and pictures of a run folder into one file that needs
no other and no network: loss and Dice over the epochs, the best, the median and
the worst case of the validation with the reference as outline and the prediction
as fill, Dice, HD95 and volumes of every case, and where the time went.

Of two or more runs with the same labels it writes a comparison: the curves of all
on one picture, the Dice of each structure and case with its difference from the
first run and a paired test, the settings that differ, and where the time went.

What a run does not have yet is left out; a comparison says so.`,
		Example: `  gounet report gounet_work/Task04_Hippocampus/3d_fullres/fold_0
  gounet report runs/a --output a.html --dataset /data/Task04_Hippocampus
  gounet report runs/baseline runs/wide runs/long --output compared.html
  gounet report runs/a runs/b --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("RUN is missing")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return f.compare(cmd.Context(), a, args)
			}
			if f.asJSON {
				return usagef("--json is of the comparison of two or more runs: gounet info RUN --json has the numbers of one")
			}
			output := f.output
			if output == "" {
				output = filepath.Join(args[0], reportFile)
			}
			if err := checkFile("--output", output); err != nil {
				return err
			}
			if err := writeReport(cmd.Context(), args[0], f.dataset, output); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "report    %s\n", output)
			return nil
		},
	}
	cmd.Flags().StringVar(&f.output, "output", "", "the HTML `file` (default RUN/report.html, of several runs ./report.html)")
	cmd.Flags().StringVar(&f.dataset, "dataset", "", "`folder` of the data set, where it is no longer the one that was validated on; of one run")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "of several runs: also print the comparison as JSON")
	return cmd
}

// writeReport reads the run folder dir and writes its report to the file output.
// The data set is found by the references of the validation if data is empty.
func writeReport(ctx context.Context, dir, data, output string) error {
	m, err := checkpoint.Open(dir)
	if err != nil {
		return err
	}
	r := &htmlreport.Report{Title: m.Plan.Dataset, Plan: m.Plan, Configuration: m.Configuration}
	if r.Epochs, err = train.ReadLog(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if r.Facts, err = facts(dir, m); err != nil {
		return err
	}
	if r.Summary, err = validationOf(ctx, dir, m.Plan, data); err != nil {
		return err
	}
	if r.Summary != nil {
		if err := pictures(r, dir, data); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return atomicfile.Write(output, r.Write)
}

// validationFolder has the labels of the held-out cases, in a run folder.
const validationFolder = "validation"

// validationOf reads the summary of the validation, nil if there is none, and
// measures distances and volumes where the file has not got them.
func validationOf(ctx context.Context, dir string, p *plan.Plan, data string) (*metric.Summary, error) {
	folder := filepath.Join(dir, validationFolder)
	s, err := metric.ReadSummary(filepath.Join(folder, "summary.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil || s.Surface || len(s.Cases) == 0 {
		return s, err
	}
	scored, err := readStructures(filepath.Join(dir, plan.FileName))
	if err != nil {
		return nil, err
	}
	references := filepath.Dir(s.Cases[0].ReferenceFile)
	if data != "" {
		references = filepath.Join(data, "labelsTr")
	}
	s, err = metric.Evaluate(ctx, references, folder, scored.labels, metric.FolderOptions{
		Options: metric.Options{Ignore: scored.ignore, Surface: true}, Regions: scored.regions, Subset: true,
	})
	if err != nil {
		return nil, fmt.Errorf("%w (--dataset says where the data set is)", err)
	}
	return s, nil
}

// pictures reads the best, the median and the worst case.
func pictures(r *htmlreport.Report, dir, data string) error {
	best, median, worst := htmlreport.Choose(r.Summary)
	if best < 0 {
		return nil
	}
	if data == "" {
		data = filepath.Dir(filepath.Dir(r.Summary.Cases[best].ReferenceFile))
	}
	raw, err := dataset.Open(data)
	if err != nil {
		return fmt.Errorf("%w (--dataset says where the data set is)", err)
	}
	if raw.JSON.Name != "" {
		r.Title = raw.JSON.Name
	}
	seen := map[int]bool{}
	for _, c := range []struct {
		rank  string
		index int
	}{{htmlreport.Best, best}, {htmlreport.Median, median}, {htmlreport.Worst, worst}} {
		if seen[c.index] {
			continue
		}
		seen[c.index] = true
		one, err := picture(raw, r.Summary.Cases[c.index], dir)
		if err != nil {
			return err
		}
		one.Rank = c.rank
		r.Cases = append(r.Cases, one)
	}
	return nil
}

// picture reads scan, reference and prediction of a case.
func picture(raw *dataset.Raw, c metric.Case, dir string) (out htmlreport.Case, err error) {
	id := htmlreport.CaseID(c)
	i := slices.IndexFunc(raw.Cases, func(c dataset.Case) bool { return c.ID == id })
	if i < 0 {
		return out, fmt.Errorf("%s: has no case %s, which the run was validated on: give the right data set with --dataset", raw.Dir, id)
	}
	out.ID = id
	if out.Image, out.Reference, _, err = raw.Cases[i].Read(); err != nil {
		return out, err
	}
	file := filepath.Join(dir, validationFolder, filepath.Base(c.PredictionFile))
	out.Prediction, err = scan.ReadLabels(file)
	return out, err
}

// facts are lines of the set-up that the plan does not have.
func facts(dir string, m *checkpoint.Model) ([]htmlreport.Fact, error) {
	f := []htmlreport.Fact{}
	add := func(name, value string) {
		if value != "" {
			f = append(f, htmlreport.Fact{Name: name, Value: value})
		}
	}
	for _, fold := range m.Folds {
		n := 0
		for _, t := range fold.Weights {
			n += len(t.Data)
		}
		add("Parameters", thousands(n))
		add("Fold", fold.Name)
	}
	file, err := os.Open(filepath.Join(dir, train.SettingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	used := map[string]any{}
	d := json.NewDecoder(file)
	d.UseNumber() // a seed has more digits than a float64
	if err := d.Decode(&used); err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name(), err)
	}
	for _, key := range []struct{ name, key string }{
		{"Device", "device-name"},
		{"Threads", "threads"},
		{"Precision", "precision"},
		{"Seed", "seed"},
		{"Pretrained", "pretrained"},
		{"gounet", "version"},
	} {
		if v, ok := used[key.key]; ok {
			add(key.name, fmt.Sprint(v))
		}
	}
	if n, ok := used["ranks"].(json.Number); ok && n != "0" {
		add("Processes", n.String())
	}
	return f, nil
}

// thousands writes n with thin spaces between groups of three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u2009" + s[i:]
	}
	return s
}
