package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/dataset"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/internal/ranks"
)

// trainFlags are the flags of `gounet train`, also of `gounet run`.
type trainFlags struct {
	work, output, fold, splits string
	deviceFlags
	seed                            uint64
	epochs, iterations, valBatches  int
	batch, width                    int
	rate                            float64
	optimizer, schedule, loss       string
	augmentation                    string
	classWeights                    []float64
	smoothing                       float64
	patience, every, warmup         int
	maxTime                         time.Duration
	resume, noAugment, noValidation bool
	rematerialise, probabilities    bool
	residentGB                      float64
	pretrained, trainer             string
	pretrainedShare                 float64
	ranks, gpus                     int
	other                           string      // the flag that leads to another run folder; "": --output
	place                           ranks.Place // where a launcher has put this process; zero: alone
}

func newTrain(a *app) *cobra.Command {
	var f trainFlags
	cmd := &cobra.Command{
		Use:   "train DATASET CONFIG",
		Short: "train a network on a fold of a data set",
		Long: `train trains the network that the plan has for CONFIG (2d, 3d_fullres, 3d_lowres,
3d_cascade_fullres, which needs all folds of 3d_lowres first) and validates it with
the sliding window. What is missing is made first: plan and preprocessed cases. The
run folder has the model, logs, curves and validation.

Ctrl-C, SIGTERM or a crash lose nothing: --resume continues to the same bits.
Flags that are not given take the values of the plan's recipe.

Several devices share the batch, and train what one device would with all of it:
--gpus N on the GPUs of this machine; over machines started by torchrun, srun of
Slurm or Kubernetes, one process a GPU, which find each other by RANK, WORLD_SIZE,
LOCAL_RANK, MASTER_ADDR and MASTER_PORT. The network between them is trusted. A
process that ends ends the others, with its name and a checkpoint.`,
		Example: `  gounet train Task04_Hippocampus 3d_fullres --fold 0
  gounet train DATASET 3d_fullres --fold all --epochs 200 --precision bf16
  gounet train DATASET 2d --fold 1 --output runs/a --width 16 --batch 8 --seed 3
  gounet train DATASET 3d_fullres --fold 0 --resume
  gounet train DATASET 3d_fullres --gpus 8 --batch 16 --amp
  torchrun --nnodes 2 --nproc-per-node 8 --no-python gounet train DATASET 3d_fullres --device cuda --batch 32
  srun --ntasks 16 --gpus-per-task 1 gounet train DATASET 3d_fullres --device cuda:0 --batch 32`,
		Args: wantArgs("DATASET", "CONFIG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := openWorkspace(args[0], f.work)
			if err != nil {
				return err
			}
			if f.place, err = ranks.FromEnv(os.Getenv); err != nil {
				return usageError{err}
			}
			return f.run(cmd.Context(), a, w, args[1])
		},
	}
	addWorkFlag(cmd, &f.work)
	flags := cmd.Flags()
	flags.StringVar(&f.fold, "fold", "0", "fold to hold out: 0 to 4, or all to train on every case")
	flags.StringVar(&f.output, "output", "", "run `folder` (default WORK/CONFIG/fold_N)")
	f.add(cmd)
	return cmd
}

// add declares the flags that do not name one run.
func (f *trainFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.deviceFlags.add(cmd)
	flags.StringVar(&f.splits, "splits", "", "`file` with folds in the form of nnU-Net's splits_final.json, or with the patient of each case, {\"case\": \"patient\"}, none of whom is then on both sides (default the data set's own, else nnU-Net's five folds)")
	flags.Uint64Var(&f.seed, "seed", 0, "the same seed on the same device gives the same bits")
	flags.IntVar(&f.epochs, "epochs", 0, "epochs")
	flags.IntVar(&f.iterations, "iterations", 0, "training steps an epoch")
	flags.IntVar(&f.valBatches, "val-iterations", -1, "validation batches an epoch")
	flags.IntVar(&f.batch, "batch", 0, "samples a step")
	flags.IntVar(&f.width, "width", 0, "features of the first stage; each stage has twice as many, up to the plan's limit")
	flags.Float64Var(&f.rate, "learning-rate", 0, "initial learning rate")
	flags.StringVar(&f.optimizer, "optimizer", "", "sgd, adam, adamw or adan")
	flags.StringVar(&f.schedule, "schedule", "", "poly, cosine or constant")
	flags.IntVar(&f.warmup, "warmup", -1, "epochs in which the learning rate rises, before the schedule begins; 0: none. By default what the plan says")
	flags.StringVar(&f.trainer, "trainer", "", "train as this class of nnU-Net does, for example nnUNetTrainer_250epochs, nnUNetTrainerNoMirroring or nnUNetTrainerDiceCELoss_noSmooth; other flags change that")
	flags.StringVar(&f.pretrained, "pretrained", "", "begin with the weights of this `model` where they fit: layers of one shape, channels and classes of one name")
	flags.Float64Var(&f.pretrainedShare, "pretrained-share", 0.5, "least share of the weights that --pretrained must fit; 0 begins with whatever fits")
	flags.StringVar(&f.loss, "loss", "", "dice-ce, ce, dice, focal (with Dice), topk (ce of the tenth of the voxels where it is largest) or dice-topk; of regions ce is of each by itself")
	flags.Float64SliceVar(&f.classWeights, "class-weights", nil, "what the cross entropy of each label weighs, background first, for example 0.2,1,1")
	flags.Float64Var(&f.smoothing, "label-smoothing", 0, "share of each label that the cross entropy spreads over all labels, for example 0.1")
	flags.IntVar(&f.patience, "patience", 0, "end after so many epochs without a better Dice; 0: never")
	flags.DurationVar(&f.maxTime, "max-time", 0, "end after the epoch in which this time is over, for example 90m")
	flags.IntVar(&f.every, "checkpoint-every", 10, "epochs between checkpoints")
	flags.BoolVar(&f.resume, "resume", false, "continue a run that was interrupted, or start one if there is none")
	flags.BoolVar(&f.noValidation, "no-validation", false, "do not label and score the held-out cases in the end")
	flags.BoolVar(&f.probabilities, "save-probabilities", false, "also keep the probabilities of the held-out cases, which ensembles of configurations need")
	flags.BoolVar(&f.noAugment, "no-augment", false, "train without augmentation")
	flags.StringVar(&f.augmentation, "augmentation", "", augmentationHelp)
	flags.IntVar(&f.gpus, "gpus", 0, "train on so many NVIDIA GPUs of this machine together; 0: on --device")
	flags.IntVar(&f.ranks, "ranks", 0, "train on so many parts of this processor together, as over machines: for tries without GPUs; 0: as one")
	flags.Float64Var(&f.residentGB, "resident-gb", -1, "`GB` of the device for training cases, which the host otherwise gives crop by crop; 0: none. By default what a GPU has left, but for a tenth")
	flags.BoolVar(&f.rematerialise, "low-memory", false, "recompute activations in the backward pass: less memory, a little slower")
}

// check looks at what was typed before anything is done.
func (f *trainFlags) check(a *app) error {
	if f.width > widest {
		return usagef("--width is %d, wanted at most %d", f.width, widest)
	}
	if f.pretrainedShare < 0 || f.pretrainedShare > 1 {
		return usagef("--pretrained-share is %v, wanted 0 to 1", f.pretrainedShare)
	}
	if f.output != "" {
		if err := checkOutput("--output", f.output); err != nil {
			return err
		}
	}
	if f.noAugment && f.augmentation != "" {
		return usagef("--no-augment and --augmentation exclude each other")
	}
	if f.trainer != "" {
		if _, err := trainerOf(f.trainer); err != nil {
			return err
		}
	}
	err := errors.Join(
		oneOf("optimizer", f.optimizer, plan.SGD, plan.Adam, plan.AdamW, plan.Adan),
		oneOf("augmentation", f.augmentation, plan.AugmentNNUNet, plan.AugmentDA5),
		oneOf("schedule", f.schedule, plan.Poly, plan.Cosine, plan.Constant),
		oneOf("loss", f.loss, slices.Sorted(maps.Keys(losses))...),
	)
	if err != nil {
		return err
	}
	if f.warmup < -1 {
		return usagef("--warmup is %d, wanted 0 (none) or a number of epochs", f.warmup)
	}
	if err := a.settings.notNegative("ranks", "gpus"); err != nil {
		return err
	}
	if err := a.settings.positive("epochs", "iterations", "batch", "width", "learning-rate", "max-time", "checkpoint-every"); err != nil {
		return err
	}
	if err := f.checkRanks(a.settings); err != nil {
		return err
	}
	if err := f.tryTogether(); err != nil || f.place.World > 1 {
		return err // each process of a launcher has a device of its own, which it opens
	}
	return f.try(a.settings)
}

// resident is what train.Options has for --resident-gb.
func (f *trainFlags) resident() int64 {
	switch {
	case f.residentGB < 0:
		return 0
	case f.residentGB == 0:
		return -1
	}
	return int64(f.residentGB * 1e9)
}

// planOf is the plan of a run: that of the work folder with the flags that were
// given in the place of its values, or the one that a run which is resumed began
// with.
func (f *trainFlags) planOf(made *plan.Plan, name, dir string) (*plan.Plan, error) {
	began, err := plan.Load(filepath.Join(dir, plan.FileName))
	resumed := f.resume && err == nil
	if resumed {
		made = began
	}
	c, err := configuration(made, name)
	if err != nil {
		return nil, err
	}
	before := planSettings(c, made.Recipe)
	given, as := f.as()
	given.override(c, &made.Recipe, made.HasRegions())
	as.apply(c, &made.Recipe)
	after := planSettings(c, made.Recipe)
	if err := made.Validate(); err != nil {
		if changed := differences(after, before); len(changed) > 0 {
			err = usagef("%w (with %s)", err, strings.Join(changed, ", "))
		}
		return nil, err
	}
	if differ := differences(before, after); resumed && len(differ) > 0 {
		return nil, usagef("%s was begun with %s: resume with the settings that %s lists, or choose another %s",
			dir, strings.Join(differ, ", "), filepath.Join(dir, train.SettingsFile), f.elsewhere())
	}
	return made, nil
}

// planSettings are the values of a plan that flags change, by the names of the flags.
func planSettings(c *plan.Configuration, r plan.Recipe) map[string]any {
	return map[string]any{
		"batch": c.Batch, "width": c.Network.Features[0], "no-augment": len(r.Augmentation) == 0, "augmentation": r.AugmentationName(),
		"epochs": r.Schedule.Epochs, "iterations": r.Schedule.Iterations, "val-iterations": r.Schedule.ValIterations,
		"loss": r.Loss.String(), "smooth": r.Loss.Smooth, "warmup": r.Schedule.Warmup, "mirror": axesOf(r.For(c).Inference.Mirror), "norm": cmp.Or(c.Network.Norm, plan.InstanceNorm),
		"heads": r.DeepSupervision.Heads, "oversample": fmt.Sprintf("%.2f %s", r.Oversample, r.OversampleBy), "interpolation": cmp.Or(r.Interpolation, "linear"), "dummy-2d": dummy2D(c, r),
		"patience": r.Schedule.Patience, "schedule": r.Schedule.Kind, "optimizer": r.Optimizer.Kind, "learning-rate": r.Optimizer.LearningRate,
	}
}

// differences says which values of before are others in after: "width 4 instead of 8".
func differences(before, after map[string]any) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if !reflect.DeepEqual(before[name], after[name]) {
			list = append(list, fmt.Sprintf("%s %v instead of %v", name, before[name], after[name]))
		}
	}
	return list
}

// widest is far above what any published U-Net has in its first stage.
const widest = 1024

// override puts the flags that were given in the place of the plan's values.
func (f *trainFlags) override(c *plan.Configuration, r *plan.Recipe, regions bool) {
	set(&c.Batch, f.batch)
	set(&r.Schedule.Epochs, f.epochs)
	set(&r.Schedule.Iterations, f.iterations)
	set(&r.Schedule.Patience, f.patience)
	if f.warmup >= 0 {
		r.Schedule.Warmup = f.warmup
	}
	if change := losses[f.loss]; change != nil {
		// Of a plan that says another one, all of that goes: cross entropy is the beginning.
		r.Loss.Voxel, r.Loss.TopK, r.Loss.Gamma = plan.CrossEntropy, 0, 0
		if regions {
			r.Loss.Voxel = plan.BinaryCrossEntropy
		}
		change(&r.Loss)
	}
	if len(f.classWeights) > 0 {
		r.Loss.ClassWeights = f.classWeights
	}
	set(&r.Loss.Smoothing, f.smoothing)
	set(&r.Optimizer.LearningRate, f.rate)
	if f.optimizer != "" {
		r.Optimizer.Use(f.optimizer)
	}
	set(&r.Schedule.Kind, f.schedule)
	if f.valBatches >= 0 {
		r.Schedule.ValIterations = f.valBatches
	}
	if f.width > 0 {
		for i := range c.Network.Features {
			c.Network.Features[i] = min(f.width<<i, plan.MostFeatures(c.Dim))
		}
	}
	if f.augmentation != "" {
		r.Augment(f.augmentation, c.Dim)
	}
	if f.noAugment {
		r.Augmentation = nil
	}
}

// augmentationHelp says what --augmentation is, of train and of preview.
const augmentationHelp = "list of transforms: nnunet, that of nnU-Net's default trainer, or da5, the heavy one of its nnUNetTrainerDA5 (default the plan's)"

// losses are the values of --loss.
var losses = map[string]func(*plan.Loss){
	"dice-ce":   func(l *plan.Loss) { l.VoxelWeight, l.DiceWeight = 1, 1 },
	"ce":        func(l *plan.Loss) { l.VoxelWeight, l.DiceWeight = 1, 0 },
	"dice":      func(l *plan.Loss) { l.VoxelWeight, l.DiceWeight = 0, 1 },
	"topk":      func(l *plan.Loss) { l.Voxel, l.TopK, l.VoxelWeight, l.DiceWeight = plan.TopK, 0.1, 1, 0 }, // nnU-Net's trainers of this name
	"dice-topk": func(l *plan.Loss) { l.Voxel, l.TopK, l.VoxelWeight, l.DiceWeight = plan.TopK, 0.1, 1, 1 },
	"focal":     func(l *plan.Loss) { l.Voxel, l.Gamma, l.VoxelWeight, l.DiceWeight = plan.Focal, 2, 1, 1 }, // γ of NVIDIA's
}

func set[T comparable](dst *T, v T) {
	var zero T
	if v != zero {
		*dst = v
	}
}

// used is every value that a run uses, also what stands behind a default.
func (f *trainFlags) used(a *app, w *workspace, o train.Options) map[string]any {
	used := a.settings.used()
	maps.Copy(used, planSettings(o.Plan.Configuration(o.Configuration), o.Plan.Recipe))
	maps.Copy(used, map[string]any{
		"dataset": o.Plan.Dataset, "configuration": o.Configuration, "fold": o.Fold, "work": w.dir, "output": o.Dir,
		"device-name": o.Device.Name(), "threads": f.workers(), "version": version, "precision": o.Storage.String(), "seed": o.Seed,
	})
	if began, err := startOf(o.Dir); err == nil && o.Resume && f.pretrained == "" {
		used["pretrained"] = began.Pretrained // what goes on need not be told again
	}
	if o.Group != nil {
		used["ranks"] = o.Group.World
	}
	return used
}

// run is the run folder of a fold.
func (w *workspace) run(configuration, fold string) string {
	return filepath.Join(w.dir, configuration, "fold_"+fold)
}

// split returns the cases of a fold: of the file, of the data set's own
// splits_final.json, or of nnU-Net's five folds.
func (w *workspace) split(file, name string) (dataset.Fold, error) {
	if name == "all" {
		return dataset.Fold{Train: w.ids()}, nil
	}
	n, err := strconv.Atoi(name)
	if err != nil || n < 0 {
		return dataset.Fold{}, usagef("fold %q: wanted a number from 0 on, or all", name)
	}
	folds, err := w.folds(file)
	if err != nil {
		return dataset.Fold{}, err
	}
	if n >= len(folds) {
		return dataset.Fold{}, usagef("fold %d: there are %d folds, 0 to %d", n, len(folds), len(folds)-1)
	}
	return folds[n], nil
}

// folds are all folds of the file, of the data set's own splits_final.json, or
// nnU-Net's five.
func (w *workspace) folds(file string) ([]dataset.Fold, error) {
	ids := w.ids()
	if own := filepath.Join(w.raw.Dir, "splits_final.json"); file == "" {
		if _, err := os.Stat(own); err == nil {
			file = own
		}
	}
	if file != "" {
		return dataset.LoadSplits(file, ids)
	}
	return dataset.Split(ids, dataset.Folds)
}

// ids are those of the training cases.
func (w *workspace) ids() (ids []string) {
	for _, c := range w.raw.Cases {
		ids = append(ids, c.ID)
	}
	return ids
}
