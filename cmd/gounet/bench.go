package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/internal/half"
	"github.com/gounet/gounet/internal/machine"
)

func newBench(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "measure the speed of ops and of a training step",
		Long: `bench measures this machine: single ops and a whole training step. The
network is nnU-Net's for the hippocampus data set unless flags
say otherwise; the numbers in it are random. bench/peers has the same
measurements of PyTorch.`,
		Example: `  gounet bench ops
  gounet bench train --precision bf16 --json`,
		Args: noArgs,
	}
	cmd.AddCommand(newBenchOps(a), newBenchTrain(a))
	return cmd
}

// benchFlags are the network and the machine that are measured. Their defaults
// are nnU-Net's plan for the hippocampus.
type benchFlags struct {
	device   deviceFlags
	patch    []int
	batch    int
	width    int
	stages   int
	channels int
	classes  int
	seconds  float64
	asJSON   bool
}

func (f *benchFlags) add(cmd *cobra.Command, seconds float64) {
	f.device.add(cmd)
	flags := cmd.Flags()
	flags.IntSliceVar(&f.patch, "patch", []int{40, 56, 40}, "voxels `D,H,W`; multiples of 2 to the power of stages−1")
	flags.IntVar(&f.batch, "batch", 2, "samples a step")
	flags.IntVar(&f.width, "width", 32, "features of the first stage; they double up to 320")
	flags.IntVar(&f.stages, "stages", 4, "resolutions of the network")
	flags.IntVar(&f.channels, "channels", 1, "of the scan")
	flags.IntVar(&f.classes, "classes", 3, "labels, the background included")
	flags.Float64Var(&f.seconds, "seconds", seconds, "to measure each row")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
}

// most features of a 3-D stage: nnU-Net's 320.
const mostFeatures = 320

// network is a plan with one 3-D configuration of the flags' sizes, trained by
// nnU-Net's recipe without augmentation.
func (f *benchFlags) network() (*plan.Plan, *plan.Configuration, error) {
	if len(f.patch) != 3 {
		return nil, nil, usagef("patch %v: wanted three numbers D,H,W", f.patch)
	}
	p := &plan.Plan{Ignore: -1, Recipe: plan.NNUNet(3), Channels: make([]plan.Channel, f.channels)}
	p.Recipe.Augmentation = nil
	for k := range f.classes {
		p.Labels = append(p.Labels, plan.Label{Values: []int{k}})
	}
	c := plan.Configuration{Name: plan.ConfigFullRes, Dim: 3, Patch: [3]int(f.patch), Batch: f.batch}
	c.Network = plan.Network{Kind: plan.Plain, ConvBias: true, NormEps: 1e-5, Slope: 0.01} // nnU-Net's
	for s := range f.stages {
		stride := min(2, s+1)
		c.Network.Features = append(c.Network.Features, min(mostFeatures, f.width<<s))
		c.Network.Kernels = append(c.Network.Kernels, [3]int{3, 3, 3})
		c.Network.Strides = append(c.Network.Strides, [3]int{stride, stride, stride})
		c.Network.Convs = append(c.Network.Convs, 2)
		if s > 0 {
			c.Network.DecoderConvs = append(c.Network.DecoderConvs, 2)
		}
	}
	divisor := c.Network.Divisor()
	for i, n := range c.Patch {
		if n < divisor[i] || n%divisor[i] != 0 {
			return nil, nil, usagef("patch %v: wanted multiples of %v for %d stages", f.patch, divisor, f.stages)
		}
	}
	p.Configurations = []plan.Configuration{c}
	return p, &p.Configurations[0], nil
}

// measured is what a measurement depends on, part of every JSON answer.
type measured struct {
	CPU       string `json:"cpu"`
	Device    string `json:"device"`
	Threads   int    `json:"threads"` // 0: all cores
	Precision string `json:"precision"`
	PeakFLOP  number `json:"peak_gflops"`    // measured; null if the device cannot tell
	PeakBytes number `json:"peak_gb_second"` // likewise
}

// peaker is a side interface of a device that can measure its limits: f32
// multiply-adds from registers (two FLOP each) and bytes moved in large arrays,
// both a second and with all workers.
type peaker interface {
	Peaks() (flop, bytes float64)
}

func (f *benchFlags) measured(dev backend.Device, storage graph.DType) measured {
	m := measured{CPU: machine.CPU(), Device: dev.Name(), Threads: f.device.threads, Precision: storage.String()}
	m.PeakFLOP, m.PeakBytes = number(nan), number(nan)
	if p, ok := dev.(peaker); ok {
		flop, bytes := p.Peaks()
		m.PeakFLOP, m.PeakBytes = number(flop/1e9), number(bytes/1e9)
	}
	return m
}

// timing is how long something takes, in seconds.
type timing struct {
	Median float64 `json:"s"`
	Best   float64 `json:"best_s"`
	Runs   int     `json:"runs"`
}

// measure calls work until seconds have passed, at least least times after one
// call to warm up.
func measure(ctx context.Context, seconds float64, least int, work func(context.Context) error) (timing, error) {
	if err := work(ctx); err != nil {
		return timing{}, err
	}
	var times []float64
	for start := time.Now(); len(times) < least || time.Since(start).Seconds() < seconds; {
		before := time.Now()
		if err := work(ctx); err != nil {
			return timing{}, err
		}
		times = append(times, time.Since(before).Seconds())
	}
	slices.Sort(times)
	return timing{Median: times[len(times)/2], Best: times[0], Runs: len(times)}, nil
}

// session is sessionWith for a single op.
func session(ctx context.Context, dev backend.Device, g *graph.Graph, storage graph.DType) (*backend.Session, error) {
	return sessionWith(ctx, dev, g, compile.Options{Storage: storage})
}

// sessionWith compiles g for dev and fills what no node defines with random numbers
// around zero, so that no kernel meets a special case.
func sessionWith(ctx context.Context, dev backend.Device, g *graph.Graph, o compile.Options) (*backend.Session, error) {
	limits := dev.Limits()
	o.BufferBytes, o.ValueBytes, o.World = limits.BufferBytes, limits.ValueBytes, limits.World
	p, err := compile.Compile(g, o)
	if err != nil {
		return nil, err
	}
	s, err := backend.NewSession(dev, p, nil)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i, info := range p.Values {
		v := graph.Value(i + 1)
		place, used := p.Place(v)
		if !used || place.Bytes == 0 {
			continue
		}
		if err := fill(ctx, s, v, info, r); err != nil {
			s.Close()
			return nil, fmt.Errorf("%s: %w", info.Name, err)
		}
	}
	return s, nil
}

// fill writes random values into a parameter or an input.
func fill(ctx context.Context, s *backend.Session, v graph.Value, info graph.Info, r *rand.Rand) error {
	if info.Region != graph.Weights && info.Region != graph.Data && info.Region != graph.IO {
		return nil
	}
	n := info.Type.Shape.Elems()
	if info.Type.DType == graph.U8 {
		labels := make([]byte, n)
		for i := range labels {
			labels[i] = byte(r.IntN(2))
		}
		return s.Write(ctx, v, labels)
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(r.NormFloat64())
	}
	switch {
	case info.Region == graph.Weights:
		for i := range values {
			values[i] *= 0.05 // about He's for 27·32 inputs: nothing overflows 16 bits
		}
		return s.WriteWeight(ctx, v, values)
	case info.Type.DType == graph.F32:
		return s.WriteF32(ctx, v, values)
	}
	bits := make([]uint16, n)
	if info.Type.DType == graph.BF16 {
		half.EncodeBF16(bits, values)
	} else {
		half.EncodeF16(bits, values)
	}
	b := make([]byte, 0, 2*n)
	for _, h := range bits {
		b = append(b, byte(h), byte(h>>8))
	}
	return s.Write(ctx, v, b)
}
