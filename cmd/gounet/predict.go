package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/measure"
	"github.com/gounet/gounet/core/metric"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/internal/atomicfile"
)

// predictFlags are the flags of `gounet predict`.
type predictFlags struct {
	deviceFlags
	model, input, output string
	checkpoint           string
	folds                []string
	tta, noMirror        bool
	step                 float64
	memoryGB             float64
	probabilities        bool
	resume               bool
	previous             string // model or labels of the first stage of a cascade
	part                 string
	postprocess          string
	outputFormats        []string
	series               []string
	statistics, preview  bool
	anonymise            bool
}

func newPredict(a *app) *cobra.Command {
	var f predictFlags
	cmd := &cobra.Command{
		Use:   "predict --model MODEL --input SCANS --output FOLDER",
		Short: "label scans with a trained model",
		Long: `predict labels scans: it crops, resamples and normalises them as the model was
trained, moves the network over them in overlapping tiles, averages folds and
mirrorings, and writes the labels on the grid of each scan, with its header.

MODEL is a run folder, a model folder, a folder with fold_0, fold_1 …, a .gounet
file, or an nnU-Net v2 results folder as it is. Mirroring is on, as in nnU-Net,
unless --no-mirror.

SCANS is a scan or a folder of scans: NIfTI, NRRD, MetaImage, MGH, Analyze, PNG,
TIFF, or DICOM. A case is CASE.nii.gz, or CASE_0000.nii.gz, CASE_0001.nii.gz …
where the model has several channels. Of DICOM it is a zip or a folder with its
subfolders; of a folder of several folders or zips each is a case. A study of several
series needs --series: their numbers, in the order of the model's channels.`,
		Example: `  gounet predict --model gounet_work/Task04_Hippocampus/3d_fullres/fold_0 --input imagesTs --output labels
  gounet predict --model nnUNetTrainer__nnUNetPlans__3d_fullres --input scan.nii.gz --output labels --no-mirror
  gounet predict --model model.gounet --input study.zip --series 4 --output labels --output-format seg,rtstruct --preview`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), a) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.model, "model", "", "`folder` or file of the model")
	flags.StringVar(&f.input, "input", "", "a scan: `file`, folder or zip, - for the standard input; or a folder of scans")
	flags.StringVar(&f.output, "output", "", "`folder` for the labels")
	flags.StringVar(&f.checkpoint, "checkpoint", "", "final or best; the model's last weights if not given")
	flags.StringSliceVar(&f.folds, "folds", nil, "average these folds, comma separated; all that the model has if not given")
	flags.BoolVar(&f.tta, "tta", false, "mirror along all axes that the model allows (this is what happens without --no-mirror)")
	flags.BoolVar(&f.noMirror, "no-mirror", false, "no mirroring: eight times as fast in 3-D, a little less exact")
	flags.Float64Var(&f.step, "step", 0, "move of the tiles as a share of their size; 0 is the plan's (0.5)")
	flags.Float64Var(&f.memoryGB, "memory-gb", 0, "bound of the memory on the device in `GB`; 0 is what the device has")
	flags.BoolVar(&f.probabilities, "save-probabilities", false, "also write CASE.npz with the probability of each class")
	flags.BoolVar(&f.resume, "resume", false, "leave out scans whose labels are there already")
	flags.StringVar(&f.previous, "previous", "", "of a cascade: model of the first stage, or a `folder` with its labels (default the model that MODEL brings, or the one beside it)")
	flags.StringVar(&f.part, "part", "", "`i/n`: only every n-th scan, from the i-th on, so that n processes or machines share the work")
	flags.StringVar(&f.postprocess, "postprocess", "", "do to the labels what this postprocessing.json `file` of a cross-validation says")
	flags.StringSliceVar(&f.outputFormats, "output-format", nil, "of the labels, comma separated: "+formatNames(labelFormats(dicom.WriteOptions{}))+"; that of the model's data set if not given")
	flags.StringSliceVar(&f.series, "series", nil, "series of a DICOM study by `number` or UID, a channel each")
	flags.BoolVar(&f.statistics, "statistics", false, "also write CASE.statistics.json and .csv: volume, intensities and diameters of each label")
	flags.BoolVar(&f.preview, "preview", false, "also write CASE.preview.png: three planes and the surfaces")
	flags.BoolVar(&f.anonymise, "anonymise", false, "DICOM that is written says nothing of the patient: the basic profile of PS3.15")
	f.add(cmd)
	return cmd
}

func (f *predictFlags) run(ctx context.Context, a *app) (err error) {
	for name, value := range map[string]string{"model": f.model, "input": f.input, "output": f.output} {
		if value == "" {
			return usagef("--%s is missing", name)
		}
	}
	if err := errors.Join(a.settings.notNegative("step", "memory-gb"), oneOf("checkpoint", f.checkpoint, "final", "best"), checkOutput("--output", f.output)); err != nil {
		return err
	}
	if f.step > 1 {
		return usagef("--step is %v, wanted above 0 and at most 1, a whole tile; or 0, the plan's", f.step)
	}
	if f.tta && f.noMirror {
		return usagef("--tta and --no-mirror: give one of them")
	}
	m, err := checkpoint.OpenWith(f.model, checkpoint.Options{Checkpoint: f.checkpoint, Folds: f.folds})
	if errors.Is(err, checkpoint.ErrNoFold) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	formats, err := f.formats(m)
	if err != nil {
		return usageError{fmt.Errorf("--output-format: %w", err)}
	}
	input, done, err := a.given(f.input)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	cases, err := scans(input, m.Plan, f.series)
	if err == nil {
		cases, err = partOf(f.part, cases)
	}
	if err == nil {
		err = checkReplaced(cases, f.output, formats)
	}
	if err != nil {
		return err
	}
	dev, err := f.open(a.settings)
	if err != nil {
		return err
	}
	defer func() { _ = dev.Close() }() // nothing is left to lose
	steps, err := f.steps()
	if err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	if f.previous, err = f.firstStage(ctx, a, m, cases, dev); err != nil {
		return fmt.Errorf("predict: %w", err)
	}
	o := predict.Options{Device: dev, Step: f.step, NoMirror: f.noMirror, MemoryBytes: int64(f.memoryGB * (1 << 30))}
	if o.Storage, err = f.storage(dev); err != nil {
		return err
	}
	used := f.used(a, m, o, formats)
	if f.resume {
		if err := f.madeAlike(used); err != nil {
			return err
		}
	}
	p, err := predict.New(m, o)
	if err != nil {
		return err
	}
	defer p.Close()
	return f.folder(ctx, a, p, cases, formats, steps, used)
}

// steps are those of --postprocess.
func (f *predictFlags) steps() (metric.Postprocessing, error) {
	if f.postprocess == "" {
		return nil, nil
	}
	return metric.ReadPostprocessing(f.postprocess)
}

// folder labels the cases, with a bar, and leaves what the labels mean beside them.
func (f *predictFlags) folder(ctx context.Context, a *app, p *predict.Predictor, cases []dataset.Case, formats []scan.Format, steps metric.Postprocessing, used map[string]any) error {
	shown := a.progressOf()
	defer shown.wait()
	if s, err := cases[0].Open(ctx); err == nil { // else Folder says what is wrong with it
		if memory, err := p.Plan(s.Grid); err == nil {
			shown.print("memory    %s on the device for a scan like %s: %s", size(memory.Total()), cases[0].ID, count(memory.Tiles, "tile"))
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
	start := time.Now()
	bar := shown.start("predict", "scans", len(cases))
	segments := predict.Segments(p.Model.Plan)
	warnings := map[string][]string{}
	err := predict.Folder(ctx, p, cases, f.output, predict.FolderOptions{
		Formats:     func(*scan.Scan) []scan.Format { return formats },
		Segments:    segments,
		Previous:    f.previousLabels(p.Model.Plan),
		Postprocess: steps.Apply,
		First: func() error { // so that what was interrupted is not taken for labels of another kind
			if f.madeAlike(used) != nil {
				return nil // in the end all labels are of this kind
			}
			return f.record(used, p.Model)
		},
		Written:       f.written(namesOf(segments)),
		Probabilities: f.probabilities,
		Continue:      f.resume,
		Progress: func(v predict.FolderProgress) {
			for _, w := range v.Warnings {
				warnings[w] = append(warnings[w], v.Case)
			}
			note := v.Case
			if v.Tiles.Total > 0 {
				note += fmt.Sprintf(", tile %d/%d", v.Tiles.Done, v.Tiles.Total)
			}
			bar.set(v.N, note)
		},
	})
	bar.end()
	shown.warnCases(warnings)
	if goesOn(err) { // also where some have no labels
		err = errors.Join(err, f.record(used, p.Model))
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s labelled in %s: %s\n", count(len(cases), "scan"), seconds(time.Since(start)), f.output)
	return err
}

// record writes the plan, which names the labels, and the settings.
func (f *predictFlags) record(used map[string]any, m *checkpoint.Model) error {
	if err := m.Plan.Save(filepath.Join(f.output, plan.FileName)); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(f.output, train.SettingsFile), func(w io.Writer) error { return printJSON(w, used) })
}

// labelsDependOn are the settings without which labels would be others.
var labelsDependOn = []string{"model", "weights", "configuration", "checkpoint", "folds", "input", "series", "previous", "step", "mirror", "precision", "postprocess"}

// madeAlike returns an error if the labels in the output folder were made with other
// settings than used.
func (f *predictFlags) madeAlike(used map[string]any) error {
	file := filepath.Join(f.output, train.SettingsFile)
	b, err := os.ReadFile(file)
	if err != nil {
		return nil //nolint:nilerr // nothing was finished there
	}
	var all, now map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if b, err = json.Marshal(used); err != nil {
		return err
	}
	if err := json.Unmarshal(b, &now); err != nil { // to the types of the file
		return err
	}
	before := map[string]any{}
	for _, name := range labelsDependOn {
		if value, recorded := all[name]; recorded {
			before[name] = value
		}
	}
	if differ := differences(before, now); len(differ) > 0 {
		return usagef("--resume: the labels in %s were made with %s: give the same, or another --output", f.output, strings.Join(differ, ", "))
	}
	return nil
}

// chosen names the weights that were opened: as checkpoint.Options has it.
func (f *predictFlags) chosen(m *checkpoint.Model) string {
	switch {
	case f.checkpoint != "":
		return f.checkpoint
	case m.Trainer == "": // not of nnU-Net
		return checkpoint.Final
	}
	for _, pattern := range []string{f.model, filepath.Join(f.model, "checkpoint_final.pth"), filepath.Join(f.model, "fold_*", "checkpoint_final.pth")} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 && strings.HasSuffix(found[0], "_final.pth") {
			return checkpoint.Final
		}
	}
	return checkpoint.Best
}

// foldNames are the folds of m.
func foldNames(m *checkpoint.Model) []string {
	names := []string{}
	for _, fold := range m.Folds {
		names = append(names, fold.Name)
	}
	return names
}

// used is every value that the prediction uses, also what stands behind a default.
func (f *predictFlags) used(a *app, m *checkpoint.Model, o predict.Options, formats []scan.Format) map[string]any {
	names := []string{}
	for _, format := range formats {
		names = append(names, format.Name)
	}
	step, memory := o.Step, o.MemoryBytes
	if c, err := m.Config(); err == nil && step == 0 {
		step = m.Plan.Recipe.For(c).Inference.Step
	}
	if memory == 0 {
		memory = o.Device.Limits().TotalBytes
	}
	axes := []string{}
	for i, on := range m.Mirror {
		if on && !f.noMirror {
			axes = append(axes, string("DHW"[i]))
		}
	}
	used := a.settings.used()
	maps.Copy(used, map[string]any{
		"configuration": m.Configuration, "weights": m.Hashes(), "checkpoint": f.chosen(m), "folds": foldNames(m),
		"device": f.device, "device-name": o.Device.Name(), "precision": o.Storage.String(), "threads": f.workers(), "version": version,
		"step": step, "memory-gb": float64(memory) / (1 << 30), "mirror": axes, "tta": len(axes) > 0, "output-format": names,
	})
	return used
}

// formats are those of --output-format, else the one of the model's data set.
func (f *predictFlags) formats(m *checkpoint.Model) (out []scan.Format, err error) {
	if len(f.outputFormats) == 0 {
		return []scan.Format{predict.LabelFormat(m.Plan)}, nil
	}
	seed := make([]byte, 32) // one for all objects of a scan, which name its images alike
	_, _ = rand.Read(seed)   // never fails
	all := labelFormats(dicom.WriteOptions{
		Seed:      seed,
		Algorithm: dicom.Algorithm{Name: m.Plan.Dataset, Version: version}, Software: version,
		Description: "Segmentation by " + m.Plan.Dataset, Anonymise: f.anonymise,
	})
	for _, name := range f.outputFormats {
		one, err := scan.FormatNamed(all, name)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// written makes what --statistics and --preview ask for of a case.
func (f *predictFlags) written(names map[uint8]string) func(predict.Labelled) error {
	if !f.statistics && !f.preview {
		return nil
	}
	return func(l predict.Labelled) error {
		base := filepath.Join(f.output, l.Case.ID)
		if f.preview {
			if err := preview.Write(base+".preview.png", l.Image, l.Labels, preview.Options{}); err != nil {
				return err
			}
		}
		if !f.statistics {
			return nil
		}
		t, err := measure.Labels(l.Case.ID, l.Labels, l.Image, names)
		if err != nil {
			return err
		}
		return errors.Join(
			atomicfile.Write(base+".statistics.json", func(w io.Writer) error { return measure.WriteJSON(w, t) }),
			atomicfile.Write(base+".statistics.csv", func(w io.Writer) error { return measure.WriteCSV(w, t) }))
	}
}

// checkReplaced refuses labels that would replace a scan, and labels among the
// files of a model.
func checkReplaced(cases []dataset.Case, output string, formats []scan.Format) error {
	for what, file := range map[string]string{"holds a model": checkpoint.WeightsFile, "is a work folder": sourceFile} {
		if _, err := os.Stat(filepath.Join(output, file)); err == nil {
			return fmt.Errorf("--output %s %s: choose another folder", output, what)
		}
	}
	var errs []error
	for _, c := range cases {
		for _, format := range formats {
			out, err := os.Stat(filepath.Join(output, c.ID+format.Endings[0]))
			if err != nil {
				continue
			}
			for _, path := range c.Images {
				if in, err := os.Stat(path); err == nil && os.SameFile(in, out) {
					errs = append(errs, fmt.Errorf("the labels of %s would replace the scan %s: choose another --output", c.ID, path))
				}
			}
		}
	}
	return errors.Join(errs...)
}
