package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/preview"
	"github.com/gounet/gounet/core/train"
	"github.com/gounet/gounet/internal/atomicfile"
)

// previewFlags are the flags of `gounet preview`.
type previewFlags struct {
	deviceFlags
	work, config, output string
	augmentation         string
	augment              bool
	samples              int
	seed                 uint64
}

func newPreview(a *app) *cobra.Command {
	var f previewFlags
	cmd := &cobra.Command{
		Use:   "preview DATASET",
		Short: "a picture of what a network sees in training",
		Long: `preview cuts patches out of a data set as a training does and draws the middle slice
of each, with its labels. With --augment a second row shows what the recipe makes of
each: the very voxels that the network would get in the first steps of a training with
this seed. --augmentation names another list than the recipe has.`,
		Example: `  gounet preview Task04_Hippocampus --augment --output augmented.png
  gounet preview Task04_Hippocampus --augmentation da5`,
		Args: wantArgs("DATASET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := openWorkspace(args[0], f.work)
			if err == nil {
				err = f.run(cmd.Context(), a, w)
			}
			if err != nil {
				return fmt.Errorf("preview: %w", err)
			}
			return nil
		},
	}
	addWorkFlag(cmd, &f.work)
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.config, "configuration", plan.ConfigFullRes, "`name` of the configuration")
	flags.StringVar(&f.output, "output", "preview.png", "`file` for the picture, PNG")
	flags.BoolVar(&f.augment, "augment", false, "also what the recipe makes of each patch")
	flags.StringVar(&f.augmentation, "augmentation", "", augmentationHelp+"; with --augment")
	flags.IntVar(&f.samples, "samples", 8, "patches")
	flags.Uint64Var(&f.seed, "seed", 0, "that of the training")
	return cmd
}

const (
	mostSamples = 64
	zoom        = 4 // pixels a voxel
)

func (f *previewFlags) run(ctx context.Context, a *app, w *workspace) (err error) {
	if f.samples < 1 || f.samples > mostSamples {
		return usagef("--samples is %d, wanted 1 to %d", f.samples, mostSamples)
	}
	if err := checkOutput("--output", f.output); err != nil {
		return err
	}
	if err := oneOf("augmentation", f.augmentation, plan.AugmentNNUNet, plan.AugmentDA5); err != nil {
		return err
	}
	p := a.progressOf()
	defer p.wait()
	made, err := w.loadPlan(ctx, p)
	if err != nil {
		return err
	}
	c, err := configuration(made, f.config)
	if err != nil {
		return err
	}
	store, err := w.preprocess(ctx, p, made, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	dev, err := f.open(a.settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	c.Batch = 1
	if f.augmentation != "" {
		made.Recipe.Augment(f.augmentation, c.Dim)
	}
	cut, changed, err := train.Look(ctx, train.Options{Plan: made, Configuration: c.Name, Train: store.Samples, Device: dev, Seed: f.seed}, f.samples)
	if err != nil {
		return err
	}
	rows := [][]train.Patch{cut}
	if f.augment || f.augmentation != "" {
		rows = append(rows, changed)
	}
	picture := drawPatches(rows)
	if err := atomicfile.Write(f.output, func(w io.Writer) error { return png.Encode(w, picture) }); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s of %s: %s\n", count(f.samples, "sample"), c.Name, f.output)
	return err
}

// drawPatches draws the middle slice of each patch, rows above each other.
func drawPatches(rows [][]train.Patch) *image.RGBA {
	s := rows[0][0].Image.Shape
	width, height := zoom*(s[2]+1), zoom*(s[1]+1)
	m := image.NewRGBA(image.Rect(0, 0, width*len(rows[0]), height*len(rows)))
	draw.Draw(m, m.Bounds(), image.Black, image.Point{}, draw.Src)
	for r, row := range rows {
		for i, p := range row {
			lo, hi := preview.Window(rows[0][i].Image) // of both rows the same, so that they can be compared
			drawPatch(m, image.Pt(i*width, r*height), p, lo, hi)
		}
	}
	return m
}

func drawPatch(m *image.RGBA, at image.Point, p train.Patch, lo, hi float64) {
	s := p.Image.Shape
	plane := s[0] / 2 * s[1] * s[2]
	for y := range zoom * s[1] {
		for x := range zoom * s[2] {
			v := plane + y/zoom*s[2] + x/zoom
			grey := uint8(255 * min(max((float64(p.Image.Data[v*p.Image.C])-lo)/max(hi-lo, 1e-9), 0), 1))
			c := color.RGBA{grey, grey, grey, 255}
			if l := p.Labels.Data[v]; l == 255 {
				c = color.RGBA{grey / 2, grey / 2, grey/2 + 64, 255} // beyond the scan
			} else if l > 0 {
				h := preview.Hue(int(l) - 1)
				c = color.RGBA{uint8((int(grey) + int(h.R)) / 2), uint8((int(grey) + int(h.G)) / 2), uint8((int(grey) + int(h.B)) / 2), 255}
			}
			m.SetRGBA(at.X+x, at.Y+y, c)
		}
	}
}
