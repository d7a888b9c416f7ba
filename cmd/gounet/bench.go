package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/machine"
)

func newBench(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "measure the speed of ops, of a training step and of a prediction",
		Long: `bench measures this machine: single ops, a whole training step, a whole
prediction. The network is nnU-Net's for the hippocampus data set unless flags
say otherwise; the numbers in it are random.

Rates and shares are those of the best run, as the peaks are, which are measured
before and after: other load disturbs them least. The peak of a CPU is that of f32
multiply-adds in registers, also where activations are stored in 16 bits; on cuda
that of tensor cores in the precision that is measured. WebGPU has none.
bench/compare.py runs PyTorch beside it.`,
		Example: `  gounet bench ops --threads 1
  gounet bench train --precision bf16 --json
  gounet bench train --patch 1,192,160 --stages 6 --batch 64
  gounet bench predict --tta`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return usagef("bench: wanted ops, train or predict") },
	}
	cmd.AddCommand(newBenchOps(a), newBenchTrain(a), newBenchPredict(a))
	return cmd
}

// benchFlags are the network and the machine that are measured. Their defaults
// are nnU-Net's plan for the hippocampus.
type benchFlags struct {
	device        deviceFlags
	threads       []int
	plan          string
	configuration string
	patch         []int
	batch         int
	stages        int
	channels      int
	classes       int
	seconds       float64
	asJSON        bool
}

func (f *benchFlags) add(cmd *cobra.Command, threads []int, seconds float64) {
	flags := cmd.Flags()
	single := &cobra.Command{}
	f.device.add(single)
	single.Flags().VisitAll(func(flag *pflag.Flag) {
		if flag.Name != "threads" { // here a list
			flags.AddFlag(flag)
		}
	})
	flags.IntSliceVar(&f.threads, "threads", threads, "`numbers` of threads to measure with; 0 is all cores")
	flags.StringVar(&f.plan, "plan", "", "`file` of a plan whose network, patch, batch, channels and number of labels are measured")
	flags.StringVar(&f.configuration, "configuration", plan.ConfigFullRes, "of --plan")
	flags.IntSliceVar(&f.patch, "patch", []int{40, 56, 40}, "voxels `D,H,W`, or one number for all; multiples of 2 to the power of stages−1; D is 1 for a 2-D network")
	flags.IntVar(&f.batch, "batch", 2, "samples a step")
	flags.IntVar(&f.stages, "stages", 4, "resolutions of the network")
	flags.IntVar(&f.channels, "channels", 1, "of the scan")
	flags.IntVar(&f.classes, "classes", 3, "labels, the background included")
	flags.Float64Var(&f.seconds, "seconds", seconds, "to measure each row")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
}

const defaultWidth = 32 // nnU-Net's UNet_base_num_features

// addWidth declares the width of a command that measures one network.
func addWidth(cmd *cobra.Command, width *int) {
	cmd.Flags().IntVar(width, "width", defaultWidth, "features of the first stage; they double up to 320, 512 of a 2-D network")
}

// network is a plan with one configuration, of the sizes of --plan or of the
// other flags, trained by nnU-Net's recipe.
func (f *benchFlags) network(width int) (*plan.Plan, *plan.Configuration, error) {
	c, channels, classes, err := f.sizes(width)
	if err != nil {
		return nil, nil, err
	}
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(c.Dim), Channels: make([]plan.Channel, channels)}
	for k := range classes {
		p.Labels = append(p.Labels, plan.Label{Values: []int{k}})
	}
	divisor := c.Network.Divisor()
	for i, n := range c.Patch {
		if n < divisor[i] || n%divisor[i] != 0 {
			return nil, nil, usagef("patch %v: wanted multiples of %v for %d stages", c.Patch, divisor, c.Network.Stages())
		}
	}
	p.Configurations = []plan.Configuration{*c}
	return p, &p.Configurations[0], nil
}

// sizes is the configuration, and the numbers of channels and labels.
func (f *benchFlags) sizes(width int) (c *plan.Configuration, channels, classes int, err error) {
	if f.plan != "" {
		p, err := plan.Load(f.plan)
		if err != nil {
			return nil, 0, 0, err
		}
		from, err := configuration(p, f.configuration)
		if err != nil {
			return nil, 0, 0, err
		}
		return &plan.Configuration{Name: from.Name, Dim: from.Dim, Patch: from.Patch, Batch: from.Batch, Network: from.Network},
			p.InputChannels(from), p.Classes(), nil
	}
	patch, err := axes("patch", f.patch)
	if err != nil {
		return nil, 0, 0, err
	}
	if width < 1 || f.batch < 1 || f.stages < 2 || f.channels < 1 || f.classes < 2 {
		return nil, 0, 0, usagef("width %d, batch %d, stages %d, channels %d, classes %d: wanted at least 1, 1, 2, 1, 2",
			width, f.batch, f.stages, f.channels, f.classes)
	}
	c = &plan.Configuration{Name: plan.ConfigFullRes, Dim: 3, Patch: patch, Batch: f.batch}
	if patch[0] == 1 {
		c.Name, c.Dim = plan.Config2D, 2
	}
	c.Network = plan.Network{Kind: plan.Plain, ConvBias: true, NormEps: 1e-5, Slope: 0.01} // nnU-Net's
	for s := range f.stages {
		kernel, stride := [3]int{1, 1, 1}, [3]int{1, 1, 1}
		for a, n := range patch {
			if n > 1 { // an axis of one voxel is neither convolved nor pooled
				kernel[a], stride[a] = 3, min(2, s+1)
			}
		}
		c.Network.Features = append(c.Network.Features, min(plan.MostFeatures(c.Dim), width<<s))
		c.Network.Kernels = append(c.Network.Kernels, kernel)
		c.Network.Strides = append(c.Network.Strides, stride)
		c.Network.Convs = append(c.Network.Convs, 2)
		if s > 0 {
			c.Network.DecoderConvs = append(c.Network.DecoderConvs, 2)
		}
	}
	return c, f.channels, f.classes, nil
}

// axes are the numbers of a flag: one a axis, or one for all.
func axes(name string, n []int) (a [3]int, err error) {
	if len(n) == 1 {
		n = []int{n[0], n[0], n[0]}
	}
	if len(n) != 3 || slices.Min(n) < 1 {
		return a, usagef("%s %s: wanted D,H,W or one number, above 0", name, join(n, ","))
	}
	return [3]int(n), nil
}

// machineReport is what every measurement depends on, part of every JSON answer.
type machineReport struct {
	CPU       string `json:"cpu"`
	Device    string `json:"device,omitempty"` // that computes, if it is not the CPU
	Clock     string `json:"clock,omitempty"`  // of such a device's times
	ISA       string `json:"isa"`              // kernels in use
	Precision string `json:"precision"`
	Peaks     []peak `json:"peaks"` // one for each number of threads
}

// peak is what a number of threads can do at most, as it was measured.
type peak struct {
	Threads int    `json:"threads"`
	GFLOPS  number `json:"gflops"`    // null if the device cannot tell
	GBps    number `json:"gb_second"` // likewise
}

// peaker is a side interface of a device that can measure its limits: multiply-adds
// (two FLOP each) of what is stored so, as the backend has them, and bytes moved in
// large arrays, both a second and with all of the device.
type peaker interface {
	MultiplyPeak(storage graph.DType) (flop float64, err error)
	Peaks(storage graph.DType) (flop, bytes float64, err error)
}

// bench is the devices of a run: one a number of threads.
type bench struct {
	report  machineReport
	storage graph.DType
	devices []backend.Device // in the order of report.Peaks
}

// open opens the devices and measures their peaks a first time.
func (f *benchFlags) open(s *settings) (*bench, error) {
	name, kernels, _ := strings.Cut(f.device.device, ":")
	if kernels == "" {
		kernels = cpu.ISAs()[0]
	}
	b := &bench{report: machineReport{CPU: machine.CPU(), ISA: kernels}}
	threads := f.threads
	if name == auto {
		return nil, usagef("device %q: wanted the one to measure: cpu, cpu:KERNELS, cuda, cuda:NUMBER, webgpu or webgpu:software", f.device.device)
	}
	language, gpu := map[string]string{onWebGPU: "WGSL", onCUDA: "CUDA"}[name]
	if gpu {
		threads = []int{0} // they are the driver's
	}
	var seen []int
	for _, n := range threads {
		if n < 0 {
			return nil, usagef("threads %d: wanted 0 (all cores) or more", n)
		}
		if n == 0 && !gpu {
			n = runtime.GOMAXPROCS(0)
		}
		if slices.Contains(seen, n) {
			continue
		}
		seen = append(seen, n)
		f.device.threads = n
		dev, err := f.device.open(s)
		if err != nil {
			b.close()
			return nil, err
		}
		b.devices = append(b.devices, dev)
		if gpu {
			b.report.Device, b.report.ISA, b.report.Clock = dev.Name(), language, hostClock
		}
		b.report.Peaks = append(b.report.Peaks, peak{n, number(nan), number(nan)})
		if b.storage, err = f.device.storage(dev); err != nil {
			b.close()
			return nil, err
		}
	}
	if len(b.devices) == 0 {
		return nil, usagef("threads: wanted at least one number")
	}
	b.report.Precision = b.storage.String()
	if err := b.measurePeaks(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	for _, d := range b.devices {
		_ = d.Close() // nothing is left to lose
	}
}

// measurePeaks keeps the best that was seen.
func (b *bench) measurePeaks() error {
	for i, d := range b.devices {
		if p, ok := d.(peaker); ok {
			flop, bytes, err := p.Peaks(b.storage)
			if err != nil {
				return fmt.Errorf("peak of %s: %w", d.Name(), err)
			}
			b.report.Peaks[i].GFLOPS = larger(b.report.Peaks[i].GFLOPS, number(flop/1e9))
			b.report.Peaks[i].GBps = larger(b.report.Peaks[i].GBps, number(bytes/1e9))
		}
	}
	return nil
}

// multiplyPeak is the peak of a device at this moment, 10⁹ FLOP a second; NaN if
// it cannot tell.
func multiplyPeak(dev backend.Device, storage graph.DType) (number, error) {
	if p, ok := dev.(peaker); ok {
		flop, err := p.MultiplyPeak(storage)
		return number(flop / 1e9), err
	}
	return number(nan), nil
}

// larger is b if a is not a number yet.
func larger(a, b number) number {
	if a >= b {
		return a
	}
	return b
}

// peak of a number of threads.
func (r *machineReport) peak(threads int) peak {
	return r.Peaks[slices.IndexFunc(r.Peaks, func(p peak) bool { return p.Threads == threads })]
}

func (r *machineReport) print(w io.Writer) {
	if r.Device != "" {
		fmt.Fprintf(w, "%s on %s, activations %s; times are %s\n", r.Device, r.CPU, r.Precision, r.Clock)
	} else {
		fmt.Fprintf(w, "%s, kernels %s, activations %s\n", r.CPU, r.ISA, r.Precision)
	}
	for _, p := range r.Peaks {
		of := ""
		if r.Device == "" {
			of = fmt.Sprintf(" of %d threads", p.Threads)
		}
		fmt.Fprintf(w, "measured peak%s: %s GFLOP/s, %s GB/s\n", of, rounded(p.GFLOPS), rounded(p.GBps))
	}
	fmt.Fprintln(w)
}

// timing is how long something takes, in seconds.
type timing struct {
	Median float64 `json:"s"`
	Best   float64 `json:"best_s"`
	Runs   int     `json:"runs"`
}

// timed calls work until seconds have passed, at least least times after one
// call to warm up.
func timed(ctx context.Context, seconds float64, least int, work func(context.Context) error) (timing, error) {
	if err := work(ctx); err != nil {
		return timing{}, err
	}
	return gather(seconds, least, func() (float64, error) {
		before := time.Now()
		err := work(ctx)
		return time.Since(before).Seconds(), err
	})
}

// gather calls work, which says what it took, until seconds have passed, at least
// least times.
func gather(seconds float64, least int, work func() (float64, error)) (timing, error) {
	var times []float64
	for start := time.Now(); len(times) < least || time.Since(start).Seconds() < seconds; {
		took, err := work()
		if err != nil {
			return timing{}, err
		}
		times = append(times, took)
	}
	slices.Sort(times)
	return timing{Median: times[len(times)/2], Best: times[0], Runs: len(times)}, nil
}
