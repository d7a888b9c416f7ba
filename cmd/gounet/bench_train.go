package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	webgpu "github.com/gounet/gounet/backend_webgpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

// stepFlags are the flags of `gounet bench train` beside those of every measurement.
type stepFlags struct {
	benchFlags
	width, steps          int
	remat, augment, nodes bool
}

func newBenchTrain(a *app) *cobra.Command {
	var f stepFlags
	cmd := &cobra.Command{
		Use:   "train",
		Short: "measure a training step",
		Long: `train measures whole training steps on one batch: forward pass, Dice and cross
entropy over deep supervision, backward pass, clipping, SGD with Nesterov
momentum. Loading runs beside the steps of a real training and is left out;
augmentation is a part of them with --augment. The table says where the time
goes, op by op, by the device's own clock: a GPU without one has no table.`,
		Example: `  gounet bench train
  gounet bench train --plan plan.json --threads 1,0 --augment
  gounet bench train --patch 128 --stages 6 --precision bf16 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), a)
		},
	}
	f.add(cmd, []int{0}, 20)
	addWidth(cmd, &f.width)
	flags := cmd.Flags()
	flags.IntVar(&f.steps, "steps", 0, "to measure; 0: as many as --seconds allows")
	flags.BoolVar(&f.augment, "augment", false, "with all of nnU-Net's augmentation, on every sample")
	flags.BoolVar(&f.nodes, "nodes", false, "also the time of each node")
	flags.BoolVar(&f.remat, "low-memory", false, "recompute activations in the backward pass: less memory, a little slower")
	return cmd
}

// stepResult is what `gounet bench train --json` prints.
type stepResult struct {
	machineReport
	Rows []stepRow `json:"rows"`
}

// stepRow is a training step with one number of threads.
type stepRow struct {
	sizes
	Batch int `json:"batch"`
	timing
	ImagesPerSecond float64          `json:"images_per_s"`
	GFLOP           float64          `json:"gflop"` // of the convolutions of a step
	GFLOPS          number           `json:"gflops"`
	PeakShare       number           `json:"peak_share"`
	Bytes           int64            `json:"bytes"`   // of device memory
	Regions         map[string]int64 `json:"regions"` // the same by region
	Ops             []nodeTime       `json:"ops"`
	Nodes           []nodeTime       `json:"nodes,omitempty"`
}

// sizes are what a network is measured with.
type sizes struct {
	Threads  int    `json:"threads"`
	Patch    [3]int `json:"patch"`
	Features []int  `json:"features"`
}

// onThreads says how many threads of the CPU computed; nothing of a GPU.
func (s sizes) onThreads() string {
	if s.Threads == 0 {
		return ""
	}
	return fmt.Sprintf("%d threads, ", s.Threads)
}

func (f *stepFlags) run(ctx context.Context, a *app) error {
	p, c, err := f.network(f.width)
	if err != nil {
		return err
	}
	if !f.augment {
		p.Recipe.Augmentation = nil
	}
	if f.steps < 0 {
		return usagef("steps %d: wanted 0 or more", f.steps)
	}
	b, err := f.open(a.settings)
	if err != nil {
		return err
	}
	defer b.close()
	result := stepResult{}
	for i, dev := range b.devices {
		row, err := f.measure(ctx, dev, b.storage, p, c)
		if err != nil {
			return err
		}
		row.Threads = b.report.Peaks[i].Threads
		result.Rows = append(result.Rows, row)
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

// measure times the steps on one device.
func (f *stepFlags) measure(ctx context.Context, dev backend.Device, storage graph.DType, p *plan.Plan, c *plan.Configuration) (stepRow, error) {
	r := stepRow{sizes: sizes{Patch: c.Patch, Features: c.Network.Features}, Batch: c.Batch}
	s, err := f.session(ctx, dev, storage, p, c)
	if err != nil {
		return r, err
	}
	defer s.Close()
	seconds, least := f.seconds, 3
	if f.steps > 0 {
		seconds, least = 0, f.steps
	}
	if r.timing, err = timed(ctx, seconds, least, func(ctx context.Context) error { return runWhole(ctx, s) }); err != nil {
		return r, err
	}
	cost := programCost(s.Program)
	r.ImagesPerSecond = float64(c.Batch) / r.Best
	r.GFLOP = float64(cost.FLOP) / 1e9
	r.GFLOPS, _ = rates(cost, r.Best)
	r.Bytes, r.Regions = s.Program.TotalBytes(), map[string]int64{}
	for region := range graph.Region(graph.Regions) {
		r.Regions[region.String()] = s.Program.Bytes(region)
	}
	nodes, err := profile(ctx, s)
	if err != nil {
		return r, err
	}
	r.Ops = byOp(nodes)
	if f.nodes {
		r.Nodes = nodes
	}
	return r, nil
}

// session is a training step with nnU-Net's initial weights and a random batch,
// ready to run.
func (f *stepFlags) session(ctx context.Context, dev backend.Device, storage graph.DType, p *plan.Plan, c *plan.Configuration) (*backend.Session, error) {
	step, err := unet.NewTrain(p, c, unet.TrainOptions{})
	if err != nil {
		return nil, err
	}
	s, err := benchSession(ctx, dev, step.Graph, compile.Options{Storage: storage, Rematerialise: f.remat})
	if err != nil {
		return nil, err
	}
	weights := unet.InitialWeights(step.Graph, step.Params, 1)
	for i, v := range step.Params {
		if err := s.WriteWeight(ctx, v, weights[i]); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// nodeTime is the time of a node, or of all nodes of one op, within a run.
type nodeTime struct {
	Name    string  `json:"name,omitempty"` // of the node
	Op      string  `json:"op"`
	Count   int     `json:"count"` // nodes
	Seconds float64 `json:"s"`
	GFLOPS  number  `json:"gflops"`
	GBps    number  `json:"gb_second"`

	cost graph.Cost
}

func (t *nodeTime) rate() { t.GFLOPS, t.GBps = rates(t.cost, t.Seconds) }

// profileRuns are few, as a profile says where the time goes, not how much it is.
const profileRuns = 3

// profile runs the program with a clock around each node and returns the best
// time of each, in the order of the program; nothing where the device has no clock.
func profile(ctx context.Context, s *backend.Session) ([]nodeTime, error) {
	var best []float64
	for range profileRuns {
		seconds, err := s.Profile(ctx)
		if errors.Is(err, webgpu.ErrNoTimestamps) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if best == nil {
			best = seconds
		}
		for i := range best {
			best[i] = min(best[i], seconds[i])
		}
	}
	nodes := make([]nodeTime, len(best))
	for i, n := range s.Program.Nodes {
		nodes[i] = nodeTime{Name: n.Name, Op: graph.OpName(n.Op), Count: 1, Seconds: best[i], cost: s.Program.Cost(n)}
		nodes[i].rate()
	}
	return nodes, nil
}

// byOp sums nodes of one op, the longest first.
func byOp(nodes []nodeTime) []nodeTime {
	var list []nodeTime
	for _, n := range nodes {
		i := slices.IndexFunc(list, func(t nodeTime) bool { return t.Op == n.Op })
		if i < 0 {
			i, list = len(list), append(list, nodeTime{Op: n.Op})
		}
		t := &list[i]
		t.Count++
		t.Seconds += n.Seconds
		t.cost.FLOP += n.cost.FLOP
		t.cost.Bytes += n.cost.Bytes
		t.rate()
	}
	slices.SortStableFunc(list, func(a, b nodeTime) int { return cmp.Compare(b.Seconds, a.Seconds) })
	return list
}

func (r *stepResult) print(w io.Writer) error {
	r.machineReport.print(w)
	for i, row := range r.Rows {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "patch %s, batch %d, features %s, %smemory %s\n", join(row.Patch[:], "×"), row.Batch, join(row.Features, " "), row.onThreads(), size(row.Bytes))
		fmt.Fprintf(w, "%.4f s a step (median %.4f of %d), %.2f images/s, %.1f GFLOP, %.1f GFLOP/s, %s of the peak\n\n",
			row.Best, row.Median, row.Runs, row.ImagesPerSecond, row.GFLOP, row.GFLOPS, percent(row.PeakShare))
		if row.Nodes != nil {
			if err := printNodes(w, row.Nodes); err != nil {
				return err
			}
			fmt.Fprintln(w)
		}
		if row.Ops == nil {
			continue
		}
		if err := printNodes(w, row.Ops); err != nil {
			return err
		}
	}
	return nil
}

// printNodes writes a table of nodes, or of ops.
func printNodes(w io.Writer, nodes []nodeTime) error {
	total := 0.0
	for _, n := range nodes {
		total += n.Seconds
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "op\tnodes\tms\tshare\tGFLOP/s\tGB/s")
	for _, n := range nodes {
		name := n.Op
		if n.Name != "" {
			name += " " + n.Name
		}
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.1f %%\t%s\t%s\n", name, n.Count, 1000*n.Seconds, 100*n.Seconds/total, rounded(n.GFLOPS), rounded(n.GBps))
	}
	return t.Flush()
}
