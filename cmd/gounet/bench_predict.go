package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/unet"
	"github.com/gounet/gounet/core/volume"
)

// scanFlags are the flags of `gounet bench predict` beside those of every measurement.
type scanFlags struct {
	benchFlags
	width, rows int
	volume      []int
	tta, alone  bool
}

func newBenchPredict(a *app) *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "predict",
		Short: "measure a prediction",
		Long: `predict measures the labelling of one scan of random numbers that is
preprocessed already: tiles with half their size as step, Gaussian weights, with
--tta all mirrorings, arg max. A second row is the program for tiles by itself,
and the table says where its time goes.`,
		Example: `  gounet bench predict
  gounet bench predict --volume 160,224,160 --tta --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), a)
		},
	}
	f.add(cmd, []int{0}, 10)
	addWidth(cmd, &f.width)
	flags := cmd.Flags()
	flags.IntSliceVar(&f.volume, "volume", nil, "voxels `D,H,W` of the scan (default twice the patch)")
	flags.IntVar(&f.rows, "rows", 0, "tiles in one run of the device; 0: as a prediction chooses")
	flags.BoolVar(&f.tta, "tta", false, "mirror along all axes")
	flags.BoolVar(&f.alone, "tiles", true, "also measure the program for tiles by itself")
	return cmd
}

// scanResult is what `gounet bench predict --json` prints.
type scanResult struct {
	machineReport
	Rows []scanRow `json:"rows"`
}

// What a scanRow has measured.
const (
	wholeScan = "scan"
	onlyTiles = "tiles"
)

// scanRow is a prediction, or a run of its program for tiles.
type scanRow struct {
	What string `json:"what"` // scan or tiles
	sizes
	Volume   [3]int `json:"volume"`
	Tiles    int    `json:"tiles"` // mirrored ones counted each
	RowsEach int    `json:"rows"`  // tiles in a run of the device
	timing
	TilesPerSecond float64    `json:"tiles_per_s"`
	GFLOP          float64    `json:"gflop"` // of the convolutions
	GFLOPS         number     `json:"gflops"`
	PeakShare      number     `json:"peak_share"`
	Bytes          int64      `json:"bytes"`         // of device memory
	Ops            []nodeTime `json:"ops,omitempty"` // of tiles
}

// rate fills in what follows from the time and the convolutions of one tile.
func (r *scanRow) rate(tileFLOP int64) {
	cost := graph.Cost{FLOP: int64(r.Tiles) * tileFLOP}
	r.TilesPerSecond = float64(r.Tiles) / r.Best
	r.GFLOP = float64(cost.FLOP) / 1e9
	r.GFLOPS, _ = rates(cost, r.Best)
}

func (f *scanFlags) run(ctx context.Context, a *app) error {
	p, c, err := f.network(f.width)
	if err != nil {
		return err
	}
	size := [3]int{2 * c.Patch[0], 2 * c.Patch[1], 2 * c.Patch[2]}
	if len(f.volume) > 0 {
		if size, err = axes("volume", f.volume); err != nil {
			return err
		}
	}
	if f.rows < 0 {
		return usagef("rows %d: wanted 0 or more", f.rows)
	}
	model := randomModel(p, c)
	b, err := f.open(a.settings)
	if err != nil {
		return err
	}
	defer b.close()
	result := scanResult{}
	for i, dev := range b.devices {
		scan, err := f.scan(ctx, dev, b.storage, model, size)
		if err != nil {
			return err
		}
		rows := []scanRow{scan}
		if f.alone {
			tiles, err := f.tiles(ctx, dev, b.storage, p, c, scan)
			if err != nil {
				return err
			}
			rows = append(rows, tiles)
		}
		for _, row := range rows {
			row.Threads = b.report.Peaks[i].Threads
			result.Rows = append(result.Rows, row)
		}
	}
	if err := b.measurePeaks(); err != nil {
		return err
	}
	for i := range result.Rows {
		r := &result.Rows[i]
		r.PeakShare = r.GFLOPS / b.report.peak(r.Threads).GFLOPS
	}
	result.machineReport = b.report
	if f.asJSON {
		return printJSON(a.out, result)
	}
	return result.print(a.out)
}

// scan times the prediction of one scan.
func (f *scanFlags) scan(ctx context.Context, dev backend.Device, storage graph.DType, m *checkpoint.Model, size [3]int) (scanRow, error) {
	c := &m.Plan.Configurations[0]
	r := scanRow{What: wholeScan, sizes: sizes{Patch: c.Patch, Features: c.Network.Features}, Volume: size}
	predictor, err := predict.New(m, predict.Options{Device: dev, Storage: storage, NoMirror: !f.tta, Rows: f.rows})
	if err != nil {
		return r, err
	}
	defer predictor.Close()
	pre, err := predictor.Preprocess(noise(size, m.Plan.Scans()))
	if err != nil {
		return r, err
	}
	o := predict.ImageOptions{Progress: func(v predict.Progress) { r.Tiles = v.Total }}
	r.timing, err = timed(ctx, f.seconds, 2, func(ctx context.Context) error {
		result, err := predictor.Case(ctx, pre, o)
		if err == nil {
			r.Bytes, r.RowsEach = result.Memory.Total(), result.Memory.Rows
		}
		return err
	})
	if err != nil {
		return r, err
	}
	tile, err := tileFLOP(m.Plan, c)
	r.rate(tile)
	return r, err
}

// tiles times one run of the program that a scan runs again and again.
func (f *scanFlags) tiles(ctx context.Context, dev backend.Device, storage graph.DType, p *plan.Plan, c *plan.Configuration, scan scanRow) (scanRow, error) {
	r := scanRow{What: onlyTiles, sizes: scan.sizes, Volume: scan.Volume, Tiles: scan.RowsEach, RowsEach: scan.RowsEach}
	tile, err := unet.NewTile(p, c, unet.TileOptions{Volume: r.Volume, Rows: r.RowsEach, Planes: r.Volume[0]})
	if err != nil {
		return r, err
	}
	s, err := benchSession(ctx, dev, tile.Graph, compile.Options{Storage: storage})
	if err != nil {
		return r, err
	}
	defer s.Close()
	if r.timing, err = timed(ctx, f.seconds, 3, func(ctx context.Context) error { return runWhole(ctx, s) }); err != nil {
		return r, err
	}
	nodes, err := profile(ctx, s)
	if err != nil {
		return r, err
	}
	r.Ops, r.Bytes = byOp(nodes), s.Program.TotalBytes()
	r.rate(programCost(s.Program).FLOP / int64(r.Tiles))
	return r, nil
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

// randomModel is a model of p's configuration c with weights that keep numbers in
// range, for scans of 1 mm that are not normalised.
func randomModel(p *plan.Plan, c *plan.Configuration) *checkpoint.Model {
	c.Spacing = [3]float64{1, 1, 1}
	if c.Dim == 2 {
		c.Spacing[0] = 0 // the slices stay as they are
	}
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
		weights[w.Name] = checkpoint.Tensor{Shape: w.Shape, Data: normal(r, n, 0.05)}
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
	copy(im.Data, normal(rand.New(rand.NewPCG(5, 6)), len(im.Data), 1))
	return im
}

func (r *scanResult) print(w io.Writer) error {
	r.machineReport.print(w)
	for i, row := range r.Rows {
		if i > 0 {
			fmt.Fprintln(w)
		}
		title := fmt.Sprintf("a scan of %s voxels", join(row.Volume[:], "×"))
		if row.What == onlyTiles {
			title = "its program for tiles, one run"
		}
		fmt.Fprintf(w, "%s: patch %s, features %s, %d tiles, %d a run, %smemory %s\n", title, join(row.Patch[:], "×"), join(row.Features, " "),
			row.Tiles, row.RowsEach, row.onThreads(), size(row.Bytes))
		fmt.Fprintf(w, "%.4f s (median %.4f of %d), %.2f tiles/s, %.1f GFLOP, %.1f GFLOP/s, %s of the peak\n",
			row.Best, row.Median, row.Runs, row.TilesPerSecond, row.GFLOP, row.GFLOPS, percent(row.PeakShare))
		if row.Ops == nil {
			continue
		}
		fmt.Fprintln(w)
		if err := printNodes(w, row.Ops); err != nil {
			return err
		}
	}
	return nil
}
