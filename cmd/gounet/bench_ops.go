package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/unet"
)

var nan = math.NaN()

func newBenchOps(a *app) *cobra.Command {
	var f benchFlags
	withLarge := true
	cmd := &cobra.Command{
		Use:   "ops",
		Short: "measure each op of the network by itself",
		Long: `ops measures large convolutions and then every different op of a training step
and of a prediction by itself, with its inputs in memory: a row an op and shape.
GFLOP/s counts the nominal multiply-adds of convolutions; GB/s each value once.
Shares are of the peaks that were measured in the same run.`,
		Example: `  gounet bench ops --threads 1
  gounet bench ops --precision bf16 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.ops(cmd.Context(), a, withLarge); err != nil {
				return fmt.Errorf("bench ops: %w", err)
			}
			return nil
		},
	}
	f.add(cmd, 0.5)
	cmd.Flags().BoolVar(&withLarge, "large", true, "begin with three convolutions of large networks")
	return cmd
}

// opRow is a line of the table.
type opRow struct {
	Op     string   `json:"op"`
	Node   string   `json:"node"`   // where the network has it first
	Shapes []string `json:"shapes"` // of the inputs that are not parameters of one row
	timing
	GFLOPS      number `json:"gflops"`       // null where multiply-adds are not what it does
	GBSecond    number `json:"gb_second"`    //
	PeakShare   number `json:"peak_share"`   // GFLOP/s of the peak
	MemoryShare number `json:"memory_share"` // GB/s of the peak
}

func (f *benchFlags) ops(ctx context.Context, a *app, withLarge bool) error {
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer func() { _ = dev.Close() }() // nothing is left to lose
	storage, err := f.device.storage(dev)
	if err != nil {
		return err
	}
	cases, err := f.opCases()
	if err != nil {
		return err
	}
	if withLarge {
		cases = append(large(), cases...)
	}
	result := struct {
		measured
		Rows []opRow `json:"rows"`
	}{measured: f.measured(dev, storage)}
	p := a.progressOf()
	bar := p.start("bench", "ops", len(cases))
	for i, c := range cases {
		row, err := f.op(ctx, dev, storage, c, result.measured)
		if err != nil {
			bar.end()
			p.wait()
			return fmt.Errorf("%s: %w", c.node, err)
		}
		result.Rows = append(result.Rows, row)
		bar.set(i+1, row.Op)
	}
	bar.end()
	p.wait()
	if f.asJSON {
		return printJSON(a.out, result)
	}
	return printOps(a.out, result.measured, result.Rows)
}

// opCase is an op with the types of its inputs.
type opCase struct {
	node    string
	op      graph.Op
	in      []graph.Type
	weights []bool // of the inputs: parameters
}

// opCases are the different ops of the network, in training and prediction.
func (f *benchFlags) opCases() ([]opCase, error) {
	var cases []opCase
	p, c, err := f.network()
	if err != nil {
		return nil, err
	}
	step, err := unet.NewTrain(p, c, unet.TrainOptions{})
	if err != nil {
		return nil, err
	}
	tile, err := unet.NewTile(p, c, unet.TileOptions{Volume: c.Patch, Rows: 1, Planes: c.Patch[0]})
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, g := range []*graph.Graph{step.Graph, tile.Graph} {
		for _, n := range g.Nodes {
			if c, ok := caseOf(g, n); ok && !seen[c.key()] {
				seen[c.key()] = true
				cases = append(cases, c)
			}
		}
	}
	return cases, nil
}

// large are the three directions of the convolutions that every 3-D network of
// nnU-Net has on large patches.
func large() []opCase {
	var cases []opCase
	for _, l := range []struct{ c, side int }{{32, 64}, {64, 32}, {320, 8}} {
		x := graph.Type{DType: graph.T, Shape: graph.Shape{1, l.side, l.side, l.side, l.c}}
		w := graph.Type{DType: graph.F32, Shape: graph.Shape{3, 3, 3, l.c, l.c}}
		b := graph.Type{DType: graph.F32, Shape: graph.Shape{l.c}}
		one := [3]int{1, 1, 1}
		name := fmt.Sprintf("%d→%d at %d³", l.c, l.c, l.side)
		cases = append(cases,
			opCase{name, graph.Conv3D{Stride: one}, []graph.Type{x, w, b}, []bool{false, true, true}},
			opCase{name, graph.Conv3DGradInput{Stride: one, X: []graph.Shape{x.Shape}}, []graph.Type{x, w}, []bool{false, true}},
			opCase{name, graph.Conv3DGradWeight{Stride: one, Kernel: [3]int{3, 3, 3}}, []graph.Type{x, x}, []bool{false, false}},
		)
	}
	return cases
}

// caseOf takes n out of its graph. What reads gradients or optimizer state has
// its place in a whole step only: ok is false, and `bench train` shows it.
func caseOf(g *graph.Graph, n graph.Node) (c opCase, ok bool) {
	c = opCase{node: n.Name, op: n.Op}
	for _, v := range n.In {
		if v == 0 { // an optional input that is not there
			c.in, c.weights = append(c.in, graph.Type{}), append(c.weights, false)
			continue
		}
		info := g.Info(v)
		if info.Region == graph.Grads || info.Region == graph.State {
			return c, false
		}
		c.in = append(c.in, info.Type)
		c.weights = append(c.weights, info.Region == graph.Weights)
	}
	_, reduce := n.Op.(graph.AllReduce)
	return c, !reduce
}

func (c *opCase) key() string { return fmt.Sprintf("%#v %v", c.op, c.in) }

// graph is a program of the op alone.
func (c *opCase) graph() (*graph.Graph, error) {
	return graph.Build(func(b *graph.Builder) []graph.Value {
		in := make([]graph.Value, len(c.in))
		for i, t := range c.in {
			name := fmt.Sprintf("in%d", i)
			switch {
			case t.Shape == nil:
			case c.weights[i]:
				in[i] = b.Param(name, t.Shape...)
			default:
				in[i] = b.Declare(name, graph.Data, t.DType, t.Shape...)
			}
		}
		return b.Apply("op", c.op, in...)
	})
}

func (f *benchFlags) op(ctx context.Context, dev backend.Device, storage graph.DType, c opCase, m measured) (opRow, error) {
	row := opRow{Op: graph.OpName(c.op), Node: c.node, GFLOPS: number(nan), PeakShare: number(nan)}
	g, err := c.graph()
	if err != nil {
		return row, err
	}
	s, err := session(ctx, dev, g, storage)
	if err != nil {
		return row, err
	}
	defer s.Close()
	if row.timing, err = measure(ctx, f.seconds, 3, s.Run); err != nil {
		return row, err
	}
	var cost graph.Cost
	for _, n := range s.Program.Nodes {
		part := s.Program.Cost(n)
		cost.FLOP += part.FLOP
		cost.Bytes += part.Bytes
	}
	row.GBSecond = number(float64(cost.Bytes) / row.Median / 1e9)
	row.MemoryShare = row.GBSecond / m.PeakBytes
	if cost.FLOP > 0 {
		row.GFLOPS = number(float64(cost.FLOP) / row.Median / 1e9)
		row.PeakShare = row.GFLOPS / m.PeakFLOP
	}
	for i, t := range c.in {
		if len(t.Shape) > 1 && (!c.weights[i] || len(t.Shape) == 5) {
			row.Shapes = append(row.Shapes, join(t.Shape, "×"))
		}
	}
	return row, nil
}

func printOps(w io.Writer, m measured, rows []opRow) error {
	printMeasured(w, m)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "op\tnode\tinputs\tms\tGFLOP/s\tpeak\tGB/s\tmemory")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.3f\t%s\t%s\t%s\t%s\n", r.Op, r.Node, strings.Join(r.Shapes, ", "), 1000*r.Median,
			rounded(r.GFLOPS), percent(r.PeakShare), rounded(r.GBSecond), percent(r.MemoryShare))
	}
	return t.Flush()
}

func printMeasured(w io.Writer, m measured) {
	fmt.Fprintf(w, "%s, %s, %s\n", m.CPU, m.Device, m.Precision)
	if !math.IsNaN(float64(m.PeakFLOP)) {
		fmt.Fprintf(w, "measured peaks: %.0f GFLOP/s, %.1f GB/s\n", m.PeakFLOP, m.PeakBytes)
	}
}

func rounded(n number) string {
	if math.IsNaN(float64(n)) {
		return "–"
	}
	return fmt.Sprintf("%.1f", n)
}

func percent(n number) string {
	if math.IsNaN(float64(n)) {
		return "–"
	}
	return fmt.Sprintf("%.0f %%", 100*n)
}
