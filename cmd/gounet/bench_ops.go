package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"regexp"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

var nan = math.NaN()

// opsFlags are the flags of `gounet bench ops` beside those of every measurement.
type opsFlags struct {
	benchFlags
	widths []int
	large  bool
	filter string
}

func newBenchOps(a *app) *cobra.Command {
	var f opsFlags
	cmd := &cobra.Command{
		Use:   "ops",
		Short: "measure each op of the network by itself",
		Long: `ops measures large convolutions and then every different op of a training step,
augmentation included, and of a prediction by itself, with its inputs in memory:
a row an op, shape and number of threads. GFLOP/s counts the nominal multiply-adds
of convolutions, those with padding too, which small sizes save: they may be above
the peak. Each of their rows has the peak of its own moment, measured before and
after it, because processors change their clocks within a run. GB/s counts each
value once; what stays in a cache may be faster than memory.

On a GPU the times are those of its own clock, where it has one.`,
		Example: `  gounet bench ops --threads 1
  gounet bench ops --device webgpu --large=false
  gounet bench ops --filter 'Conv3D.* 32\+32→32' --precision bf16 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), a)
		},
	}
	f.add(cmd, []int{1, 0}, 0.3)
	flags := cmd.Flags()
	flags.IntSliceVar(&f.widths, "width", []int{defaultWidth, 8}, "features of the first stage of each network; they double up to 320, 512 of a 2-D one")
	flags.BoolVar(&f.large, "large", true, "begin with the three directions of convolutions of large networks")
	flags.StringVar(&f.filter, "filter", "", "measure only the rows whose \"OP SHAPES\" match this regular `expression`")
	return cmd
}

// opsResult is what `gounet bench ops --json` prints.
type opsResult struct {
	machineReport
	Rows []opRow `json:"rows"`
}

// opRow is a line of the table.
type opRow struct {
	Op      string `json:"op"`
	Node    string `json:"node"` // where the network has it first
	Shapes  string `json:"shapes"`
	Conv    *conv  `json:"conv,omitempty"` // nil for other ops
	Threads int    `json:"threads"`
	timing
	GFLOPS      number `json:"gflops"` // null where multiply-adds are not what it does
	GBps        number `json:"gb_second"`
	Peak        number `json:"peak_gflops"`  // measured around this row
	PeakShare   number `json:"peak_share"`   // of Peak
	MemoryShare number `json:"memory_share"` // of GB/s

	cost graph.Cost
}

func (f *opsFlags) run(ctx context.Context, a *app) error {
	filter, err := regexp.Compile(f.filter)
	if err != nil {
		return usagef("filter: %w", err)
	}
	cases, err := f.cases()
	if err != nil {
		return err
	}
	var chosen []opCase
	for _, c := range cases {
		if filter.MatchString(c.title()) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return usagef("filter %q: none of the %d rows matches, for example %q", f.filter, len(cases), cases[0].title())
	}
	b, err := f.open(a.settings)
	if err != nil {
		return err
	}
	defer b.close()
	rows, err := f.measure(ctx, a, b, chosen)
	if err != nil {
		return err
	}
	if err := b.measurePeaks(); err != nil {
		return err
	}
	for i := range rows {
		rows[i].rate(&b.report)
	}
	if f.asJSON {
		return printJSON(a.out, opsResult{b.report, rows})
	}
	b.report.print(a.out)
	return printOps(a.out, rows)
}

// measure runs every case on every device, one after the other.
func (f *opsFlags) measure(ctx context.Context, a *app, b *bench, cases []opCase) ([]opRow, error) {
	p := a.progressOf()
	bar := p.start("bench", "ops", len(cases))
	defer p.wait()
	defer bar.end()
	var rows []opRow
	for i, c := range cases {
		for k, dev := range b.devices {
			row, err := c.measure(ctx, dev, b, f.seconds)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.title(), err)
			}
			row.Threads = b.report.Peaks[k].Threads
			rows = append(rows, row)
		}
		bar.set(i+1, graph.OpName(c.op))
	}
	return rows, nil
}

// measure times the op alone in a program.
func (c *opCase) measure(ctx context.Context, dev backend.Device, b *bench, seconds float64) (opRow, error) {
	row := opRow{Op: graph.OpName(c.op), Node: c.node, Shapes: c.shapes(), Conv: c.conv()}
	g, err := c.graph()
	if err != nil {
		return row, err
	}
	s, err := benchSession(ctx, dev, g, compile.Options{Storage: b.storage})
	if err != nil {
		return row, err
	}
	defer s.Close()
	row.cost = programCost(s.Program)
	row.Peak = number(nan)
	around := func() error { // peaks are of what has a share of them
		if row.cost.FLOP == 0 {
			return nil
		}
		peak, err := multiplyPeak(dev, b.storage)
		row.Peak = larger(row.Peak, peak)
		return err
	}
	if err := around(); err != nil {
		return row, err
	}
	if b.report.Device != "" {
		row.timing, b.report.Clock, err = measureDevice(ctx, s, seconds, 3)
	} else {
		row.timing, err = timed(ctx, seconds, 3, s.Run)
	}
	if err != nil {
		return row, err
	}
	return row, around()
}

// programCost is the sum over all nodes.
func programCost(p *compile.Program) (sum graph.Cost) {
	for _, n := range p.Nodes {
		c := p.Cost(n)
		sum.FLOP += c.FLOP
		sum.Bytes += c.Bytes
	}
	return sum
}

// rate fills in the rates and their shares of the peaks.
func (r *opRow) rate(m *machineReport) {
	r.GFLOPS, r.GBps = rates(r.cost, r.Best)
	r.PeakShare, r.MemoryShare = r.GFLOPS/r.Peak, r.GBps/m.peak(r.Threads).GBps
}

// rates are 10⁹ FLOP and bytes a second; NaN FLOP where there are none.
func rates(c graph.Cost, seconds float64) (gflops, gbps number) {
	gflops = number(nan)
	if c.FLOP > 0 {
		gflops = number(float64(c.FLOP) / seconds / 1e9)
	}
	return gflops, number(float64(c.Bytes) / seconds / 1e9)
}

func printOps(w io.Writer, rows []opRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "op\tshapes\tthreads\tms\tmedian\tGFLOP/s\tpeak\tGB/s\tmemory")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%.3f\t%.3f\t%s\t%s\t%s\t%s\n", r.Op, r.Shapes, r.Threads, 1000*r.Best, 1000*r.Median,
			rounded(r.GFLOPS), percent(r.PeakShare), rounded(r.GBps), percent(r.MemoryShare))
	}
	return t.Flush()
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
