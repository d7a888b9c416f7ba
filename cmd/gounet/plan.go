package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/plan"
)

// planFlags are the flags of `gounet plan`.
type planFlags struct {
	work, output, from       string
	fingerprint, datasetJSON string
	planner, recipe          string
	compat                   bool
	norm, network            string
	groups, depth, minEdge   int
	features                 []int
	ohe                      bool
	memoryGB                 float64
	fitMemory                bool
	precision                string
	spacing                  string
	noTranspose              bool
	nnunetPlans              string
	asJSON                   bool
	check                    bool
	fix                      string
}

func newPlan(a *app) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan [DATASET]",
		Short: "check a data set and plan networks for it",
		Long: `plan reads every scan and label of a data set once, lists all that is wrong with
them, and decides as nnU-Net v2 does: spacing, patch, batch, network. It writes
plan.json and dataset_fingerprint.json to the work folder and prints the plan
with the memory that training really needs.

DATASET is a folder of the Medical Segmentation Decathlon (imagesTr, labelsTr,
dataset.json) or an nnU-Net v2 raw folder. Without images a plan is made of
nnU-Net's own dataset_fingerprint.json and dataset.json. With --from nothing is
decided: the plan is that of another data set, whose weights train --pretrained then
begins with, as after nnUNetv2_move_plans_between_datasets.`,
		Example: `  gounet plan Task04_Hippocampus
  gounet plan DATASET --planner resenc-l --nnunet-plans nnUNetResEncUNetLPlans.json
  gounet plan Task04_Hippocampus --recipe nvidia
  gounet plan Task11_BraTS2021_train --recipe nvidia --ohe --features 64,96,128,192,256,384,512 --depth 6 --min-edge 2
  gounet plan DATASET --check --fix MENDED
  gounet plan DATASET --from gounet_work/Task04_Hippocampus
  gounet plan DATASET --fit-memory --memory-gb 16 --precision bf16
  gounet plan --fingerprint dataset_fingerprint.json --dataset-json dataset.json --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("argument %q: one data set at a time", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.check || f.fix != "" {
				return f.runCheck(cmd.Context(), a, args)
			}
			if err := f.checkFrom(cmd); err != nil {
				return err
			}
			return f.run(cmd.Context(), a, args)
		},
	}
	addWorkFlag(cmd, &f.work)
	flags := cmd.Flags()
	flags.StringVar(&f.output, "output", "", "write plan.json to this `file` instead of the work folder")
	flags.StringVar(&f.from, "from", "", "take the plan of another data set, a plan.json `file` or a folder with one or with nnU-Net's plans.json and dataset.json: its networks, spacing and normalisation with this data set's labels")
	flags.StringVar(&f.fingerprint, "fingerprint", "", "plan from this dataset_fingerprint.json `file`; no images are read")
	flags.StringVar(&f.datasetJSON, "dataset-json", "", "the dataset.json `file` that belongs to --fingerprint")
	flags.StringVar(&f.planner, "planner", plan.PlannerNNUNet, strings.Join(plan.PlannerNames(), ", "))
	flags.StringVar(&f.recipe, "recipe", plan.RecipeNNUNet, "how networks are made, trained and used: "+strings.Join(plan.RecipeNames(), " or "))
	flags.BoolVar(&f.compat, "nvidia-compat", false, "of --recipe nvidia: also with the defects of the original")
	flags.StringVar(&f.norm, "norm", plan.InstanceNorm, "of all networks: "+strings.Join(norms, ", "))
	flags.IntVar(&f.groups, "groups", 0, "of --norm group: groups of channels")
	flags.StringVar(&f.network, "network", "plain", "of --recipe nvidia: plain, residual (NVIDIA's --res_block) or brats22 (its --brats22_model)")
	flags.IntSliceVar(&f.features, "features", nil, "of --recipe nvidia: features of each stage, for example 64,96,128,192,256,384,512 (NVIDIA's --filters)")
	flags.IntVar(&f.depth, "depth", 0, "of --recipe nvidia: poolings at most; 0 is NVIDIA's 5")
	flags.IntVar(&f.minEdge, "min-edge", 0, "of --recipe nvidia: voxels that a pooled axis keeps at least; 0 is NVIDIA's 4 (its --min_fmap)")
	flags.BoolVar(&f.ohe, "ohe", false, "of --recipe nvidia: a channel of the foreground beside those of the scans, as its BraTS models want; with --nvidia-compat of the normalised scans, as the original makes it")
	flags.Float64Var(&f.memoryGB, "memory-gb", 0, "memory target in `GB`; 0 is the planner's own (8, 24 or 40)")
	flags.BoolVar(&f.fitMemory, "fit-memory", false, "fit patch and batch to the memory that training really needs, not to nnU-Net's estimate")
	flags.StringVar(&f.precision, "precision", "f32", "of activations, for --fit-memory: f32, bf16 or f16")
	flags.StringVar(&f.spacing, "spacing", "", "resample to `Z,Y,X` mm instead of nnU-Net's choice")
	flags.BoolVar(&f.noTranspose, "no-transpose", false, "keep the axes of the files")
	flags.StringVar(&f.nnunetPlans, "nnunet-plans", "", "also write the plan in the form of nnU-Net's plans.json to this `file`")
	flags.BoolVar(&f.check, "check", false, "only read all of DATASET and list at once what is wrong with dataset.json, folders, scans and labels")
	flags.StringVar(&f.fix, "fix", "", "of --check: write a copy to this `folder` in which is mended what can only be meant one way")
	flags.BoolVar(&f.asJSON, "json", false, "print the plan as JSON")
	return cmd
}

func (f *planFlags) run(ctx context.Context, a *app, args []string) error {
	o, err := f.options()
	for _, file := range []struct{ flag, path string }{{"--output", f.output}, {"--nnunet-plans", f.nnunetPlans}} {
		if file.path != "" {
			err = errors.Join(err, checkFile(file.flag, file.path))
		}
	}
	if err = errors.Join(err, a.settings.notNegative("memory-gb")); err != nil {
		return err
	}
	fp, ds, file, err := f.sources(ctx, a, args, &o)
	if err != nil {
		return err
	}
	p, err := f.make(fp, ds, o)
	if err != nil {
		return err
	}
	if len(args) == 1 {
		if err := f.guardSides(ctx, a, args[0], p); err != nil {
			return err
		}
	}
	for _, path := range []string{file, f.nnunetPlans} {
		if path != "" {
			if err := folderOf(path); err != nil {
				return err
			}
		}
	}
	if file != "" {
		kept, err := replacePlan(file, p)
		if err != nil {
			return err
		}
		if kept != "" {
			fmt.Fprintf(a.err, "gounet: %s", printable(fmt.Sprintf("plan: %s was another plan, which is kept as %s\n", file, kept)))
		}
	}
	if f.nnunetPlans != "" {
		if err := p.SaveNNUNet(f.nnunetPlans); err != nil {
			return err
		}
	}
	if f.asJSON {
		return p.Write(a.out)
	}
	if err := p.Render(a.out, memoryRows(p)...); err != nil {
		return err
	}
	if file == "" {
		fmt.Fprintf(a.out, "\nwritten nowhere: --output FILE or --work FOLDER keeps it\n")
		return nil
	}
	fmt.Fprintf(a.out, "\nwritten to %s\n", file)
	return nil
}

// checkFrom refuses what --from leaves nothing to decide by.
func (f *planFlags) checkFrom(cmd *cobra.Command) error {
	for _, name := range []string{
		"planner", "recipe", "nvidia-compat", "norm", "groups", "network", "features", "depth", "min-edge", "ohe",
		"memory-gb", "fit-memory", "precision", "spacing", "no-transpose",
	} {
		if f.from != "" && cmd.Flags().Changed(name) {
			return usagef("--%s and --from: the plan that is taken says it", name)
		}
	}
	return nil
}

// make plans, or takes the plan of another data set.
func (f *planFlags) make(fp *plan.Fingerprint, ds *plan.DatasetJSON, o plan.Options) (*plan.Plan, error) {
	if f.from == "" {
		return plan.Make(fp, ds, o)
	}
	load := planIn
	if st, err := os.Stat(f.from); err != nil || !st.IsDir() {
		load = plan.Load
	}
	other, err := load(f.from)
	if err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	return other.Moved(ds, o.Dataset)
}

// replacePlan writes p to file. A file that says something else, such as a plan that
// was edited by hand, is kept beside it: its new name is returned.
func replacePlan(file string, p *plan.Plan) (kept string, err error) {
	before, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var after bytes.Buffer
	if err := p.Write(&after); err != nil {
		return "", err
	}
	if len(before) > 0 && !bytes.Equal(before, after.Bytes()) {
		if kept, err = keep(file, before); err != nil {
			return "", fmt.Errorf("%s is another plan and cannot be kept: %w", file, err)
		}
	}
	return kept, p.Save(file)
}

// keep writes content beside file, under the first free name of plan.1.json,
// plan.2.json …
func keep(file string, content []byte) (kept string, err error) {
	ending := filepath.Ext(file)
	for n := 1; ; n++ {
		kept = fmt.Sprintf("%s.%d%s", strings.TrimSuffix(file, ending), n, ending)
		f, err := os.OpenFile(kept, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = f.Write(content)
		return kept, errors.Join(err, f.Close())
	}
}

// runCheck reads a data set whole, or a mended copy of it, and lists what is wrong.
func (f *planFlags) runCheck(ctx context.Context, a *app, args []string) error {
	if len(args) != 1 || !f.check {
		return usagef("--check wants a DATASET, and --fix wants --check")
	}
	dir := args[0]
	p := a.progressOf()
	defer p.wait()
	if f.fix != "" {
		if err := checkOutput("--fix", f.fix); err != nil {
			return err
		}
		t := p.start("mend", "cases", 0) // how many is known when dataset.json is mended
		lines, err := dataset.Mend(ctx, dir, f.fix, t.follow)
		t.end()
		if err != nil {
			return err
		}
		for _, line := range lines {
			fmt.Fprintf(a.out, "mended    %s\n", line)
		}
		dir = f.fix
	}
	t := p.start("check", "cases", 0) // how many is known when dataset.json is read
	r, err := dataset.Check(ctx, dir, t.follow)
	t.end()
	if err != nil {
		return err
	}
	p.warnCases(r.Warnings)
	_, err = fmt.Fprintf(a.out, "%s, nothing wrong: %s\n", count(len(r.Cases), "case"), dir)
	return err
}

// guardSides is workspace.guardSides for a plan that is asked for.
func (f *planFlags) guardSides(ctx context.Context, a *app, dir string, made *plan.Plan) error {
	w, err := openWorkspace(dir, f.work)
	if err != nil {
		return err
	}
	p := a.progressOf()
	defer p.wait()
	w.guardSides(ctx, p, made)
	return nil
}

// sources returns fingerprint and dataset.json, from the images of a data set or
// from files, and where the plan goes: "" is nowhere.
func (f *planFlags) sources(ctx context.Context, a *app, args []string, o *plan.Options) (*plan.Fingerprint, *plan.DatasetJSON, string, error) {
	switch {
	case len(args) == 1 && f.fingerprint != "":
		return nil, nil, "", usagef("DATASET and --fingerprint: give one of them")
	case len(args) == 1:
		w, err := openWorkspace(args[0], f.work)
		if err != nil {
			return nil, nil, "", err
		}
		o.Dataset = w.raw.Name()
		p := a.progressOf()
		defer p.wait()
		fp, err := w.measure(ctx, p)
		file := w.planFile()
		if f.output != "" {
			file = f.output
		}
		return fp, w.raw.JSON, file, err
	case f.fingerprint == "" || f.datasetJSON == "":
		return nil, nil, "", usagef("DATASET is missing; without images, --fingerprint and --dataset-json are both needed")
	}
	fp, err := plan.LoadFingerprint(f.fingerprint)
	if err != nil {
		return nil, nil, "", err
	}
	if o.Dataset, err = folderName(f.datasetJSON); err != nil {
		return nil, nil, "", err
	}
	ds, err := plan.LoadDatasetJSON(f.datasetJSON)
	file := f.output
	if file == "" && f.work != "" {
		file = filepath.Join(f.work, plan.FileName)
	}
	return fp, ds, file, err
}

// named is how nnU-Net and the Decathlon name the folder of a data set.
var named = regexp.MustCompile(`^(Dataset\d+|Task\d+)_`)

// folderName is the name of the folder that a dataset.json lies in, by which nnU-Net finds
// what belongs to the data set; "" if that is no name of one.
func folderName(datasetJSON string) (string, error) {
	path, err := filepath.Abs(datasetJSON)
	if name := filepath.Base(filepath.Dir(path)); named.MatchString(name) {
		return name, err
	}
	return "", err
}

func (f *planFlags) options() (plan.Options, error) {
	err := errors.Join(oneOf("planner", f.planner, plan.PlannerNames()...), oneOf("recipe", f.recipe, plan.RecipeNames()...),
		oneOf("norm", f.norm, norms...), oneOf("network", f.network, slices.Sorted(maps.Keys(dynKinds))...))
	if err != nil {
		return plan.Options{}, err
	}
	dyn := plan.Dyn{Kind: dynKinds[f.network], Features: f.features, Depth: f.depth, MinEdge: f.minEdge, Foreground: f.ohe}
	if told := f.network != "plain" || len(f.features) > 0 || f.depth != 0 || f.minEdge != 0 || f.ohe; told && f.recipe != plan.RecipeNVIDIA {
		return plan.Options{}, usagef("--network, --features, --depth, --min-edge and --ohe are of --recipe nvidia")
	}
	if f.recipe == plan.RecipeNVIDIA && f.planner != plan.PlannerNNUNet {
		return plan.Options{}, usagef("--planner %s is of --recipe nnunetv2: NVIDIA's recipe has --network", f.planner)
	}
	if min(f.depth, f.minEdge, f.groups) < 0 {
		return plan.Options{}, usagef("--depth, --min-edge and --groups: wanted numbers above 0")
	}
	if f.compat && f.recipe != plan.RecipeNVIDIA || f.recipe == plan.RecipeNVIDIA && f.nnunetPlans != "" {
		return plan.Options{}, usagef("--nvidia-compat is of --recipe nvidia, and --nnunet-plans of --recipe nnunetv2")
	}
	o := plan.Options{Planner: f.planner, Recipe: f.recipe, Compat: f.compat, MemoryGB: f.memoryGB, NoTranspose: f.noTranspose}
	o.Norm, o.Groups, o.Dyn = f.norm, f.groups, dyn
	t, err := storage(f.precision)
	if err != nil {
		return o, err
	}
	if f.fitMemory {
		o.Memory = trainingMemory(t)
	}
	if f.spacing != "" {
		mm, err := parseSpacing(f.spacing)
		if err != nil {
			return o, err
		}
		o.Spacing = &mm
	}
	return o, nil
}

var norms = []string{plan.InstanceNorm, plan.BatchNorm, plan.GroupNorm}

// dynKinds are the values of --network.
var dynKinds = map[string]string{"plain": plan.Plain, "residual": plan.Strided, "brats22": plan.PreNorm}

// parseSpacing reads "Z,Y,X" in mm.
func parseSpacing(text string) (mm [3]float64, err error) {
	parts := strings.Split(text, ",")
	if len(parts) != 3 {
		return mm, usagef("spacing %q: wanted three numbers Z,Y,X in mm", text)
	}
	for i, part := range parts {
		if mm[i], err = strconv.ParseFloat(strings.TrimSpace(part), 64); err != nil || mm[i] <= 0 {
			return mm, usagef("spacing %q: %q is no length in mm", text, part)
		}
	}
	return mm, nil
}
