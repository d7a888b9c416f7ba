package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/plan"
)

// importFlags are the flags of `gounet import`.
type importFlags struct {
	output, checkpoint, model string
	folds                     []string

	// Of networks of NVIDIA's and MONAI's.
	dataset, config, datasetJSON string
	patch, spacing               string
	groups                       int
	previous                     string
	ohe                          bool
}

func newImport(a *app) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import MODEL --output PATH",
		Short: "make a model of one of nnU-Net v2, NVIDIA's nnU-Net or MONAI",
		Long: `import reads a model of another program and writes a model folder, or one .gounet
file if PATH ends so:

nnU-Net v2  a results folder, a zip of nnUNetv2_export_model_to_zip, or one .pth file
NVIDIA      a Lightning checkpoint (.ckpt) of a DynUNet. Patch and spacing are those of
            --config-pkl config.pkl, of NVIDIA's table for --name Task04_Hippocampus, or of
            --patch and --spacing; the labels' names those of --dataset-json. --ohe where
            the scans were preprocessed with it, as for its BraTS models
MONAI       the state dict of a DynUNet (.pt, .pth), plain or with residual blocks, or a
            bundle, folder or zip, whose configs/inference.json says patch and spacing;
            --groups where its norms are of groups

Of a cascade both stages are read, the first one from beside MODEL, from the same zip, or
of --previous. Nothing in a file is executed. predict reads results folders of nnU-Net as they are.`,
		Example: `  gounet import nnUNetTrainer__nnUNetPlans__3d_fullres --output model.gounet
  gounet import export.zip --model 3d_fullres --output model
  gounet import last.ckpt --config-pkl config.pkl --dataset-json Task04_Hippocampus/dataset.json --output model.gounet`,
		Args: wantArgs("MODEL"),
		RunE: func(_ *cobra.Command, args []string) error {
			return f.run(a, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.output, "output", "", "`path` of the model folder or .gounet file")
	flags.StringVar(&f.checkpoint, "checkpoint", "", "of nnU-Net: final or best; final if it is there and this is not given")
	flags.StringVar(&f.model, "model", "", "part of the `name` of the model to take of a zip with several")
	flags.StringVar(&f.previous, "previous", "", "of a cascade: `model` of the first stage (default the one that MODEL brings, or that is beside it)")
	flags.StringSliceVar(&f.folds, "folds", nil, "folds, comma separated; all if not given")
	flags.StringVar(&f.dataset, "name", "", "`name` of the data set, for example Task04_Hippocampus")
	flags.StringVar(&f.config, "config-pkl", "", "config.pkl `file` of NVIDIA's preprocessing")
	flags.StringVar(&f.datasetJSON, "dataset-json", "", "dataset.json `file` with the names of channels and labels")
	flags.StringVar(&f.patch, "patch", "", "patch of the network, `Z,Y,X` voxels")
	flags.StringVar(&f.spacing, "spacing", "", "spacing of the training, `Z,Y,X` mm")
	flags.BoolVar(&f.ohe, "ohe", false, "of NVIDIA's: the scans were preprocessed with --ohe, the last input of the network is their foreground")
	flags.IntVar(&f.groups, "groups", 0, "groups of channels of a network with group norms, which its weights do not tell")
	return cmd
}

func (f *importFlags) run(a *app, path string) error {
	if f.output == "" {
		return usagef("--output is missing")
	}
	err := errors.Join(oneOf("checkpoint", f.checkpoint, checkpoint.Final, checkpoint.Best), checkOutput("--output", f.output))
	if err != nil {
		return err
	}
	o := checkpoint.ImportOptions{Options: checkpoint.Options{Checkpoint: f.checkpoint, Folds: f.folds}, Model: f.model}
	if o.Foreign, err = f.foreign(); err != nil {
		return err
	}
	m, err := checkpoint.Import(path, o)
	if err != nil {
		return err
	}
	if err := withFirstStage(m, path, f.previous); errors.Is(err, errNoFirstStage) {
		fmt.Fprintf(a.err, "note: %v: imported is the second stage alone\n", err)
	} else if err != nil {
		return err
	}
	if err := checkpoint.Save(f.output, m); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "imported  %s of %s, %s: %s\n", m.Configuration, m.Plan.Dataset, count(len(m.Folds), "fold"), f.output)
	info, err := readModel(f.output)
	if err != nil {
		return err
	}
	return info.print(a.out)
}

// foreign is what the flags say of a network of NVIDIA's or MONAI's.
func (f *importFlags) foreign() (plan.Foreign, error) {
	o := plan.Foreign{Dataset: f.dataset, Groups: f.groups, Ohe: f.ohe}
	var err error
	if f.patch != "" {
		if o.Patch, err = parsePatch(f.patch); err != nil {
			return o, err
		}
	}
	if f.spacing != "" {
		if o.Spacing, err = parseSpacing(f.spacing); err != nil {
			return o, err
		}
	}
	if f.config != "" {
		if err := checkpoint.ReadNVIDIAConfig(f.config, &o); err != nil {
			return o, err
		}
	}
	if f.datasetJSON == "" {
		return o, nil
	}
	ds, err := plan.LoadDatasetJSON(f.datasetJSON)
	if err != nil {
		return o, err
	}
	if o.Dataset == "" {
		if dir, err := filepath.Abs(filepath.Dir(f.datasetJSON)); err == nil {
			o.Dataset = filepath.Base(dir)
		}
	}
	o.Channels = ds.Channels
	for _, l := range ds.Labels[1:] {
		o.Labels = append(o.Labels, l.Name)
		if ds.HasRegions() {
			o.Regions = append(o.Regions, l.Values)
		}
	}
	o.Order = ds.RegionOrder
	return o, nil
}

// parsePatch reads "Z,Y,X" in voxels.
func parsePatch(text string) (v [3]int, err error) {
	parts := strings.Split(text, ",")
	if len(parts) != 3 {
		return v, usagef("patch %q: wanted three numbers Z,Y,X of voxels", text)
	}
	for i, part := range parts {
		if v[i], err = strconv.Atoi(strings.TrimSpace(part)); err != nil || v[i] < 1 {
			return v, usagef("patch %q: %q is no number of voxels", text, part)
		}
	}
	return v, nil
}
