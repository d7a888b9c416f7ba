package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/unet"
)

func newBenchTrain(a *app) *cobra.Command {
	var f benchFlags
	remat := false
	cmd := &cobra.Command{
		Use:   "train",
		Short: "measure a training step",
		Long: `train measures whole training steps on one batch: forward pass, Dice and cross
entropy over deep supervision, backward pass, clipping, SGD with Nesterov
momentum. Augmentation and loading run beside the steps of a real training and
are left out. The table says where the time goes, op by op.`,
		Example: `  gounet bench train
  gounet bench train --patch 128,128,128 --stages 6 --precision bf16 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.train(cmd.Context(), a, remat); err != nil {
				return fmt.Errorf("bench train: %w", err)
			}
			return nil
		},
	}
	f.add(cmd, 20)
	cmd.Flags().BoolVar(&remat, "rematerialise", false, "rebuild activations in the backward pass: less memory")
	return cmd
}

// stepResult is what `gounet bench train --json` prints.
type stepResult struct {
	measured
	Patch [3]int `json:"patch"`
	Batch int    `json:"batch"`
	Width int    `json:"width"`
	timing
	GFLOP     float64  `json:"gflop"` // of the convolutions of a step
	GFLOPS    number   `json:"gflops"`
	PeakShare number   `json:"peak_share"`
	Bytes     int64    `json:"bytes"` // of device memory
	Ops       []opTime `json:"ops"`
}

// opTime is the time of all nodes of one op within a step.
type opTime struct {
	Op      string  `json:"op"`
	Nodes   int     `json:"nodes"`
	Seconds float64 `json:"s"`
	GFLOPS  number  `json:"gflops"`
	GBps    number  `json:"gb_second"`
}

func (f *benchFlags) train(ctx context.Context, a *app, remat bool) error {
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
	s, err := trainingSession(ctx, dev, p, c, storage, remat)
	if err != nil {
		return err
	}
	defer s.Close()
	r := stepResult{measured: f.measured(dev, storage), Patch: c.Patch, Batch: c.Batch, Width: f.width, Bytes: s.Program.TotalBytes()}
	if r.timing, err = measure(ctx, f.seconds, 3, s.Run); err != nil {
		return err
	}
	for _, n := range s.Program.Nodes {
		r.GFLOP += float64(s.Program.Cost(n).FLOP) / 1e9
	}
	r.GFLOPS = number(r.GFLOP / r.Median)
	r.PeakShare = r.GFLOPS / r.PeakFLOP
	if r.Ops, err = profile(ctx, s); err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(a.out, r)
	}
	return r.print(a.out)
}

// trainingSession is a training step with random weights, a random batch and no
// augmentation, ready to run.
func trainingSession(ctx context.Context, dev backend.Device, p *plan.Plan, c *plan.Configuration, storage graph.DType, remat bool) (*backend.Session, error) {
	step, err := unet.NewTrain(p, c, unet.TrainOptions{})
	if err != nil {
		return nil, err
	}
	s, err := sessionWith(ctx, dev, step.Graph, compile.Options{Storage: storage, Rematerialise: remat})
	if err != nil {
		return nil, err
	}
	ctl := make([]float32, step.CtlLen)
	ctl[graph.CtlRate] = float32(p.Recipe.Optimizer.LearningRate)
	ctl[graph.CtlLossScale], ctl[graph.CtlClip] = 1, float32(p.Recipe.Optimizer.ClipNorm)
	for n := range c.Batch { // Warp's maps: the batch as it is
		row := ctl[step.Slots[0].Ctl+n*graph.WarpLen:]
		for i := range 3 {
			row[graph.RowAffine+4*i] = 1
			row[graph.RowOffset+i] = float32(c.Patch[i]-1) / 2
		}
	}
	if err := s.WriteF32(ctx, step.Ctl, ctl); err != nil {
		s.Close()
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

// profile runs the program once with a clock around each node and sums by op,
// the longest first. A device that cannot tell gives none.
func profile(ctx context.Context, s *backend.Session) ([]opTime, error) {
	seconds, err := s.Profile(ctx)
	if err != nil {
		return nil, err
	}
	byOp := map[string]*opTime{}
	costs := map[string]graph.Cost{}
	var list []opTime
	for i, n := range s.Program.Nodes {
		name := graph.OpName(n.Op)
		if byOp[name] == nil {
			byOp[name] = &opTime{Op: name}
		}
		byOp[name].Nodes++
		byOp[name].Seconds += seconds[i]
		cost, more := costs[name], s.Program.Cost(n)
		costs[name] = graph.Cost{FLOP: cost.FLOP + more.FLOP, Bytes: cost.Bytes + more.Bytes}
	}
	for name, t := range byOp {
		t.GFLOPS = number(nan)
		if costs[name].FLOP > 0 {
			t.GFLOPS = number(float64(costs[name].FLOP) / t.Seconds / 1e9)
		}
		t.GBps = number(float64(costs[name].Bytes) / t.Seconds / 1e9)
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b opTime) int {
		if a.Seconds > b.Seconds {
			return -1
		}
		return 1
	})
	return list, nil
}

func (r *stepResult) print(w io.Writer) error {
	printMeasured(w, r.measured)
	fmt.Fprintf(w, "patch %s, batch %d, width %d: %.3f s a step (best %.3f, %d runs), %.1f GFLOP/s, %s of the peak, %s of memory\n\n",
		join(r.Patch[:], "×"), r.Batch, r.Width, r.Median, r.Best, r.Runs, r.GFLOPS, percent(r.PeakShare), size(r.Bytes))
	return printOpTimes(w, r.Ops)
}

func printOpTimes(w io.Writer, ops []opTime) error {
	total := 0.0
	for _, o := range ops {
		total += o.Seconds
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "op\tnodes\tms\tshare\tGFLOP/s\tGB/s")
	for _, o := range ops {
		fmt.Fprintf(t, "%s\t%d\t%.2f\t%.1f %%\t%s\t%s\n", o.Op, o.Nodes, 1000*o.Seconds, 100*o.Seconds/total, rounded(o.GFLOPS), rounded(o.GBps))
	}
	return t.Flush()
}
