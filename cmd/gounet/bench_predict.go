package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/unet"
	"github.com/gounet/gounet/core/volume"
)

func newBenchPredict(a *app) *cobra.Command {
	var f benchFlags
	var scan []int
	tta := false
	cmd := &cobra.Command{
		Use:   "predict",
		Short: "measure a prediction",
		Long: `predict measures the labelling of one scan of random numbers that is
preprocessed already: tiles with half their size as step, Gaussian weights, with
--tta all mirrorings, arg max.`,
		Example: `  gounet bench predict
  gounet bench predict --volume 160,224,160 --tta --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.predict(cmd.Context(), a, scan, tta); err != nil {
				return fmt.Errorf("bench predict: %w", err)
			}
			return nil
		},
	}
	f.add(cmd, 20)
	cmd.Flags().IntSliceVar(&scan, "volume", []int{80, 112, 80}, "voxels `D,H,W` of the scan")
	cmd.Flags().BoolVar(&tta, "tta", false, "mirror along all axes")
	return cmd
}

// predictResult is what `gounet bench predict --json` prints.
type predictResult struct {
	measured
	Volume [3]int `json:"volume"`
	Patch  [3]int `json:"patch"`
	Width  int    `json:"width"`
	Tiles  int    `json:"tiles"` // mirrored ones counted each
	timing
	TilesPerSecond float64 `json:"tiles_per_s"`
	GFLOP          float64 `json:"gflop"` // of the convolutions of a scan
	GFLOPS         number  `json:"gflops"`
	PeakShare      number  `json:"peak_share"`
	Bytes          int64   `json:"bytes"` // of device memory
}

func (f *benchFlags) predict(ctx context.Context, a *app, scan []int, tta bool) error {
	if len(scan) != 3 {
		return usagef("volume %v: wanted three numbers D,H,W", scan)
	}
	p, c, err := f.network()
	if err != nil {
		return err
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer func() { _ = dev.Close() }() // nothing is left to lose
	storage, err := f.device.storage(dev)
	if err != nil {
		return err
	}
	predictor, err := predict.New(randomModel(p, c), predict.Options{Device: dev, Storage: storage, NoMirror: !tta})
	if err != nil {
		return err
	}
	defer predictor.Close()
	pre, err := predictor.Preprocess(noise([3]int(scan), f.channels))
	if err != nil {
		return err
	}
	r := predictResult{measured: f.measured(dev, storage), Volume: [3]int(scan), Patch: c.Patch, Width: f.width}
	o := predict.ImageOptions{Progress: func(v predict.Progress) { r.Tiles = v.Total }}
	r.timing, err = measure(ctx, f.seconds, 2, func(ctx context.Context) error {
		result, err := predictor.Case(ctx, pre, o)
		if err == nil {
			r.Bytes = result.Memory.Total()
		}
		return err
	})
	if err != nil {
		return err
	}
	tile, err := tileFLOP(p, c)
	if err != nil {
		return err
	}
	r.TilesPerSecond = float64(r.Tiles) / r.Median
	r.GFLOP = float64(r.Tiles) * float64(tile) / 1e9
	r.GFLOPS = number(r.GFLOP / r.Median)
	r.PeakShare = r.GFLOPS / r.PeakFLOP
	if f.asJSON {
		return printJSON(a.out, r)
	}
	printMeasured(a.out, r.measured)
	_, err = fmt.Fprintf(a.out, "volume %s, patch %s, width %d: %.3f s a scan (best %.3f, %d runs), %d tiles, %.2f tiles/s, %.1f GFLOP/s, %s of the peak, %s of memory\n",
		join(r.Volume[:], "×"), join(r.Patch[:], "×"), r.Width, r.Median, r.Best, r.Runs, r.Tiles, r.TilesPerSecond, r.GFLOPS, percent(r.PeakShare), size(r.Bytes))
	return err
}

// randomModel is a model with weights that keep numbers in range.
func randomModel(p *plan.Plan, c *plan.Configuration) *checkpoint.Model {
	c.Spacing = [3]float64{1, 1, 1}
	c.Resampling = plan.DefaultResampling()
	for i := range p.Channels {
		p.Channels[i] = plan.Channel{Name: fmt.Sprint("channel ", i), Normalization: plan.NormNone}
		c.Normalization = append(c.Normalization, plan.NormNone)
		c.MaskNorm = append(c.MaskNorm, false)
	}
	p.Intensities = make([]plan.Intensity, len(p.Channels))
	p.Transpose, p.TransposeBack = [3]int{0, 1, 2}, [3]int{0, 1, 2}
	weights := checkpoint.Weights{}
	r := rand.New(rand.NewPCG(3, 4))
	for _, w := range checkpoint.Parameters(p, c) {
		n := 1
		for _, s := range w.Shape {
			n *= s
		}
		data := make([]float32, n)
		for i := range data {
			data[i] = float32(0.05 * r.NormFloat64())
		}
		weights[w.Name] = checkpoint.Tensor{Shape: w.Shape, Data: data}
	}
	return &checkpoint.Model{
		Plan: p, Configuration: c.Name, Mirror: [3]bool{true, true, true},
		Folds: []checkpoint.Fold{{Weights: weights}},
	}
}

// noise is a scan of random numbers of 1 mm.
func noise(shape [3]int, channels int) *volume.Image {
	g := volume.Grid{Shape: shape, Spacing: [3]float64{1, 1, 1}}
	for i := range 4 {
		g.Affine[i][i] = 1
	}
	im := volume.NewImage(g, channels)
	r := rand.New(rand.NewPCG(5, 6))
	for i := range im.Data {
		im.Data[i] = float32(r.NormFloat64())
	}
	return im
}

// tileFLOP counts the convolutions of one tile.
func tileFLOP(p *plan.Plan, c *plan.Configuration) (n int64, err error) {
	tile, err := unet.NewTile(p, c, unet.TileOptions{Volume: c.Patch, Rows: 1, Planes: c.Patch[0]})
	if err != nil {
		return 0, err
	}
	for _, node := range tile.Graph.Nodes {
		n += tile.Graph.Cost(node).FLOP
	}
	return n, nil
}
