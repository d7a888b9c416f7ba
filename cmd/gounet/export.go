package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/checkpoint"
)

// Values of `gounet export --to`.
const (
	toZip    = "zip"
	toNNUNet = "nnunetv2"
	toONNX   = "onnx"
)

// exportFlags are the flags of `gounet export`.
type exportFlags struct {
	to, output, checkpoint string
	folds                  []string
	half                   bool
	previous               string
}

func newExport(a *app) *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export MODEL --to zip|nnunetv2|onnx --output PATH",
		Short: "write a model for the browser, for nnU-Net v2, or as ONNX",
		Long: `export writes a model in another form:

zip       one .gounet file for the browser, the server and predict; with --f16 half
          as large, its weights rounded to 16 bits
nnunetv2  a results folder TRAINER__PLANS__CONFIGURATION in the folder PATH, which
          nnUNetv2_predict_from_modelfolder loads
onnx      the network alone, opset 17, with a free batch and the plan's patch; of a
          model of several folds a file a fold in the folder PATH

Every network goes out as zip and onnx; what nnU-Net has no class for is refused as
nnunetv2, with the reasons. Of a cascade both stages are written, the first one from
beside MODEL or of --previous; onnx is the network of the second stage alone.`,
		Example: `  gounet export gounet_work/NAME/3d_fullres --to zip --f16 --output model.gounet
  gounet export model.gounet --to nnunetv2 --output results
  gounet export gounet_work/NAME/3d_cascade_fullres --to zip --output cascade.gounet
  gounet export gounet_work/NAME/3d_fullres/fold_0 --to onnx --output model.onnx`,
		Args: wantArgs("MODEL"),
		RunE: func(_ *cobra.Command, args []string) error {
			return f.run(a, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.to, "to", "", "zip, nnunetv2 or onnx")
	flags.StringVar(&f.output, "output", "", "`path` of the file or folder that is written")
	flags.StringVar(&f.checkpoint, "checkpoint", "", "final or best; the model's last weights if not given")
	flags.StringSliceVar(&f.folds, "folds", nil, "folds, comma separated; all that the model has if not given")
	flags.StringVar(&f.previous, "previous", "", "of a cascade: `model` of the first stage (default the one that MODEL brings, or that is beside it)")
	flags.BoolVar(&f.half, "f16", false, "of zip: weights in 16 bits")
	return cmd
}

func (f *exportFlags) run(a *app, model string) error {
	if f.to == "" || f.output == "" {
		return usagef("--to and --output are both needed")
	}
	err := errors.Join(oneOf("to", f.to, toZip, toNNUNet, toONNX), oneOf("checkpoint", f.checkpoint, checkpoint.Final, checkpoint.Best), checkOutput("--output", f.output))
	if err != nil {
		return err
	}
	if f.half && f.to != toZip {
		return usagef("--f16 is of --to zip: %s has 32 bits", f.to)
	}
	if f.to == toZip && !strings.HasSuffix(f.output, checkpoint.Extension) {
		return usagef("--output %s: a zip's name ends in %s", f.output, checkpoint.Extension)
	}
	m, err := checkpoint.OpenWith(model, checkpoint.Options{Checkpoint: f.checkpoint, Folds: f.folds})
	if err != nil {
		return err
	}
	if f.to != toONNX {
		if err := withFirstStage(m, model, f.previous); err != nil {
			return err
		}
	}
	written := []string{f.output}
	switch {
	case f.to == toNNUNet:
		written, err = f.nnunet(m)
	case f.to == toONNX:
		written, err = f.onnx(m)
	case f.half:
		err = checkpoint.SaveHalf(f.output, m)
	default:
		err = checkpoint.Save(f.output, m)
	}
	if err != nil {
		return err
	}
	for i, path := range written {
		of := m
		if f.to == toNNUNet && i > 0 {
			of = m.Before
		}
		fmt.Fprintf(a.out, "exported  %s of %s, %s: %s\n", of.Configuration, of.Plan.Dataset, count(len(of.Folds), "fold"), path)
	}
	return f.secondStage(a, m)
}

// secondStage says how the stages of a cascade work together where they go.
func (f *exportFlags) secondStage(a *app, m *checkpoint.Model) error {
	c, err := m.Config()
	if err != nil || c.Previous == "" {
		return err
	}
	how := map[string]string{
		toZip:    "which is in the file, too",
		toNNUNet: "predict with that first, and give its labels to nnUNetv2_predict as -prev_stage_predictions",
		toONNX:   "behind the channels of the image its input has one for each label, 1 where a voxel has it and 0 elsewhere",
	}[f.to]
	fmt.Fprintf(a.out, "note      %s is the second stage of a cascade and needs the labels of %s: %s\n", c.Name, c.Previous, how)
	return nil
}

// nnunet writes a results folder, and one of the first stage of a cascade.
func (f *exportFlags) nnunet(m *checkpoint.Model) (written []string, err error) {
	for of := m; of != nil; of = of.Before {
		path, err := checkpoint.ExportNNUNet(f.output, of)
		if err != nil {
			return nil, err
		}
		written = append(written, path)
	}
	return written, nil
}

// onnx writes a file, or one for each of several folds.
func (f *exportFlags) onnx(m *checkpoint.Model) (written []string, err error) {
	for i, fold := range m.Folds {
		path := f.output
		if len(m.Folds) > 1 {
			if err := os.MkdirAll(f.output, 0o777); err != nil {
				return nil, err
			}
			path = filepath.Join(f.output, "fold_"+cmp.Or(fold.Name, fmt.Sprint(i))+".onnx")
		}
		one := *m
		one.Folds = m.Folds[i : i+1]
		if err := checkpoint.SaveONNX(path, &one); err != nil {
			return nil, err
		}
		written = append(written, path)
	}
	return written, nil
}
