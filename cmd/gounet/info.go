package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/train"
)

func newInfo(a *app) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "info FILE",
		Short: "say what a scan, a plan, a model or a data set is",
		Long: `info prints what a file, a folder or with "-" the standard input holds:

  a scan or label map, of any format that is read: shape in the order of the
    file's axes, spacing, affine, type on disk, the range of the scaled values,
    and the structures that it names
  a folder or zip of DICOM: its series
  a plan (plan.json, or nnU-Net's plans.json beside a dataset.json), with the
    memory that training needs
  a model (its folder, a run folder, a .gounet file, a results folder of
    nnU-Net v2 or a .pth file there): what it was trained on, folds, labels
  a data set (its folder or dataset.json): cases, channels, labels
  labels that predict wrote (their folder), probabilities (.npz)
  what a run or evaluate leaves: settings.json, log.jsonl, summary.json, best.json,
    postprocessing.json; a splits_final.json`,
		Example: `  gounet info scan.nii.gz
  gounet info scan.nii.gz --json
  gounet info gounet_work/Task04_Hippocampus/plan.json
  gounet info Task04_Hippocampus`,
		Args: wantArgs("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			file, done, err := a.given(args[0])
			if err != nil {
				return err
			}
			found, err := inspect(file)
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.out, found)
			}
			return found.print(a.out)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// report is what is known of a file; it is also printed as JSON, with its kind.
type report interface {
	print(w io.Writer) error
}

// inspect finds out what path is, by its name and, for a folder, by what is in it.
func inspect(path string) (report, error) {
	stat, err := os.Stat(path)
	if err != nil {
		// A pair may be named by either file, gzipped or not: its reader knows.
		if isScan(path) {
			return readScan(path)
		}
		return nil, fmt.Errorf("%s: %w", path, errors.Unwrap(err))
	}
	name := filepath.Base(path)
	switch {
	case isModel(path, stat.IsDir()):
		return readModel(path)
	case stat.IsDir():
		return inspectFolder(path)
	case isScan(name):
		return readScan(path)
	case name == train.LogFile:
		return readLog(path)
	case name == train.SettingsFile:
		return readSettings(path)
	case name == "dataset.json":
		return readDataset(filepath.Dir(path))
	case filepath.Ext(name) == ".json":
		return readJSON(path)
	case strings.EqualFold(filepath.Ext(name), ".npz"):
		return readArrays(path)
	case strings.EqualFold(filepath.Ext(name), ".zip"):
		return readStudy(path)
	}
	s, err := readOther(path)
	if errors.Is(err, dicom.ErrNotScan) {
		if set, e := readStructureSet(path); set != nil || e != nil {
			return set, e
		}
	}
	if errors.Is(err, scan.ErrUnknown) {
		err = fmt.Errorf("%w, nor a plan or summary (.json), a log (.jsonl), probabilities (.npz) or a model (.gounet, .pth)", err)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func inspectFolder(dir string) (report, error) {
	if has(dir, "dataset.json") && has(dir, "imagesTr") {
		return readDataset(dir)
	}
	if has(dir, plan.FileName) && has(dir, train.SettingsFile) && !has(dir, sourceFile) {
		return readPredictions(dir)
	}
	if has(dir, "plan.json") {
		return readPlan(filepath.Join(dir, "plan.json"))
	}
	if has(dir, "plans.json") {
		return readPlan(filepath.Join(dir, "plans.json"))
	}
	s, err := readStudy(dir)
	if errors.Is(err, dicom.ErrNotDICOM) || errors.Is(err, dicom.ErrNoFiles) {
		return nil, fmt.Errorf("%s: no data set (dataset.json and imagesTr), no model, no plan.json and no DICOM in it", dir)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// has tells whether dir has an entry of that name.
func has(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

func isScan(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	switch filepath.Ext(name) {
	case ".nii", ".hdr", ".img":
		return true
	}
	return false
}
