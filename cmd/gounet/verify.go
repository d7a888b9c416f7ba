package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/scan"
)

// verifyFlags are the flags of `gounet verify`.
type verifyFlags struct {
	deviceFlags
	input, previous string
	noMirror        bool
	dice            float64
	probability     float64
	asJSON          bool
}

func newVerify(a *app) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify REFERENCE_FOLDER MODEL",
		Short: "compare what a model says here with what it said elsewhere",
		Long: `verify labels the scans of a reference folder with MODEL and compares the labels
with those in the folder, which another program or device made of the same scans with
the same model: for example nnUNetv2_predict, with --save_probabilities also the
probabilities. The scans are in the folder's inputs, or in --input. It ends with an
error if a label's Dice is below --dice, or a probability farther off than
--probability.

Two right answers differ in single voxels at borders: nnU-Net adds up in half
precision. Of a network that has learned little there are more, since it decides
nothing clearly.`,
		Example: `  gounet verify reference nnUNetTrainer__nnUNetPlans__3d_fullres
  gounet verify labels_of_nnunet model.gounet --input imagesTs --no-mirror --json`,
		Args: wantArgs("REFERENCE_FOLDER", "MODEL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), a, args[0], args[1])
		},
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.input, "input", "", "`folder` of the scans (default inputs in the reference folder)")
	flags.StringVar(&f.previous, "previous", "", "of a cascade: `folder` with the labels of the first stage, or its model (default the model that MODEL brings, or the one beside it)")
	flags.BoolVar(&f.noMirror, "no-mirror", false, "no mirroring, as when the reference was made with --disable_tta")
	flags.Float64Var(&f.dice, "dice", 0.999, "least Dice of a label with the reference")
	flags.Float64Var(&f.probability, "probability", 0.02, "largest difference of a probability, at 999 of 1000 voxels")
	flags.BoolVar(&f.asJSON, "json", false, "print the comparison as JSON")
	return cmd
}

// verified is a case beside its reference.
type verified struct {
	Case        string            `json:"case"`
	Voxels      int               `json:"voxels"`
	Differ      int               `json:"differ"`
	Dice        map[string]number `json:"dice"`        // of each label, null where neither has it
	Probability number            `json:"probability"` // difference that 1 of 1000 voxels exceeds; null without probabilities
	Passed      bool              `json:"passed"`
}

func (f *verifyFlags) run(ctx context.Context, a *app, reference, model string) (err error) {
	if f.input == "" {
		f.input = filepath.Join(reference, "inputs")
	}
	m, err := checkpoint.Open(model)
	if err != nil {
		return err
	}
	if st, err := os.Stat(f.previous); err != nil || isModel(f.previous, st.IsDir()) {
		if err := withFirstStage(m, model, f.previous); err != nil {
			return err
		}
		f.previous = ""
	}
	cases, err := scans(f.input, m.Plan, nil)
	if err != nil {
		return err
	}
	if err := allThere(reference, predict.LabelFormat(m.Plan).Endings[0], cases); err != nil {
		return err
	}
	dev, err := f.open(a.settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	o := predict.Options{Device: dev, NoMirror: f.noMirror}
	if o.Storage, err = f.storage(dev); err != nil {
		return err
	}
	pr, err := predict.New(m, o)
	if err != nil {
		return err
	}
	defer pr.Close()
	p := a.progressOf()
	defer p.wait()
	t := p.start("verify", "cases", len(cases))
	var all []verified
	for i, c := range cases {
		v, err := f.compare(ctx, pr, c, reference)
		if err != nil {
			return fmt.Errorf("%s: %w", c.ID, err)
		}
		all = append(all, v)
		t.set(i+1, c.ID)
	}
	t.end()
	if f.asJSON {
		err = printJSON(a.out, all)
	} else {
		err = printVerified(a.out, all)
	}
	return errors.Join(err, failed(all))
}

// allThere makes sure that labels and scans are of the same cases: what is not compared
// has not been verified.
func allThere(reference, ending string, cases []dataset.Case) error {
	files, err := os.ReadDir(reference)
	if err != nil {
		return err
	}
	labels := map[string]bool{}
	for _, f := range files {
		if id, ok := strings.CutSuffix(f.Name(), ending); ok {
			labels[id] = true
		}
	}
	var problems []string
	for _, c := range cases {
		if !labels[c.ID] {
			problems = append(problems, c.ID+" has no "+c.ID+ending)
		}
		delete(labels, c.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(labels)) {
		problems = append(problems, id+ending+" is of no scan of the input")
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s: %s: give the scans that the reference was made of, all of them", reference, join(problems, ", "))
	}
	return nil
}

// failed is the error that names the cases which are not as they should be.
func failed(all []verified) error {
	var names []string
	for _, v := range all {
		if !v.Passed {
			names = append(names, v.Case)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("%d of %d cases differ from the reference: %s", len(names), len(all), strings.Join(names, ", "))
}

// compare labels a case and holds the result against the files of the reference.
func (f *verifyFlags) compare(ctx context.Context, pr *predict.Predictor, c dataset.Case, reference string) (verified, error) {
	ending := predict.LabelFormat(pr.Model.Plan).Endings[0]
	want, err := scan.ReadLabels(filepath.Join(reference, c.ID+ending))
	if err != nil {
		return verified{}, err
	}
	s, err := c.Open(ctx)
	if err != nil {
		return verified{}, err
	}
	im, err := s.Image(ctx)
	if err := errors.Join(err, s.Close()); err != nil {
		return verified{}, err
	}
	npz := filepath.Join(reference, c.ID+".npz")
	_, noProbabilities := os.Stat(npz)
	o := predict.ImageOptions{Probabilities: noProbabilities == nil}
	if f.previous != "" {
		if o.Previous, err = scan.ReadLabels(filepath.Join(f.previous, c.ID+ending)); err != nil {
			return verified{}, err
		}
	}
	r, err := pr.Image(ctx, im, o)
	if err != nil {
		return verified{}, err
	}
	what := structuresOf(pr.Model.Plan.Labels, 0)
	targets := metric.Targets(what.labels)
	for _, region := range what.regions {
		targets = append(targets, metric.Target(region))
	}
	scores, err := metric.Score(want, r.Labels, targets, metric.Options{})
	if err != nil {
		return verified{}, err
	}
	v := verified{Case: c.ID, Voxels: len(want.Data), Dice: map[string]number{}, Probability: number(math.NaN()), Passed: true}
	for i, s := range scores {
		v.Dice[what.names[targets[i].Key()]] = number(s.Dice)
		v.Passed = v.Passed && !(s.Dice < f.dice)
	}
	for i, x := range want.Data {
		if x != r.Labels.Data[i] {
			v.Differ++
		}
	}
	if r.Probabilities != nil {
		theirs, err := predict.ReadProbabilities(npz, want.Shape)
		if err != nil {
			return verified{}, err
		}
		far, err := r.Probabilities.Distance(theirs)
		if err != nil {
			return verified{}, err
		}
		v.Probability = number(far)
		v.Passed = v.Passed && far <= f.probability
	}
	return v, nil
}

func printVerified(w io.Writer, all []verified) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "case\tvoxels\tdiffer\tleast Dice\tprobability\t")
	for _, v := range all {
		least := math.NaN()
		for _, d := range v.Dice {
			if !(float64(d) >= least) && !math.IsNaN(float64(d)) {
				least = float64(d)
			}
		}
		result := "as the reference"
		if !v.Passed {
			result = "differs"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\n", v.Case, v.Voxels, v.Differ, score(least), score(float64(v.Probability)), result)
	}
	return t.Flush()
}
