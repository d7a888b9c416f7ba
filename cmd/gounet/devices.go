package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	cpu "github.com/gounet/gounet/backend_cpu"
	cuda "github.com/gounet/gounet/backend_cuda"
	webgpu "github.com/gounet/gounet/backend_webgpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/graph"
)

// deviceFlags choose where programs run and how they store activations.
type deviceFlags struct {
	device    string
	threads   int
	precision string
	amp       bool
	tune      bool
	kernels   string
}

func (f *deviceFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.device, "device", onCPU, "`name` of the device: cpu; cpu:KERNELS ("+strings.Join(cpu.ISAs(), ", ")+"); cuda for an NVIDIA GPU, cuda:1 for the second; webgpu for any GPU, webgpu:software for any adapter; auto for the first of cuda, webgpu and cpu that is there")
	flags.IntVar(&f.threads, "threads", 0, "threads that compute; 0 is all cores. Results do not depend on it")
	flags.StringVar(&f.precision, "precision", "f32", "of activations: f32, bf16 or f16")
	flags.BoolVar(&f.tune, "tune", true, "on cuda, measure once which kernels are the fastest for a network on this GPU, and keep that for later runs; without it they are chosen by a model of their time")
	flags.StringVar(&f.kernels, kernelsFlag, "all", "on cuda: all; warps leaves out those by Hopper's instructions of groups of warps, simple all that multiply matrices: for a GPU whose kernels turn out to be wrong")
	flags.BoolVar(&f.amp, "amp", false, "short for --precision bf16")
}

// kernelsFlag is also a setting of the environment that doctor shows.
const kernelsFlag = "cuda-kernels"

// Names of devices. What stands behind one, after a colon, chooses among its kind.
const (
	onCPU    = "cpu"
	onCUDA   = "cuda"
	onWebGPU = "webgpu"
	auto     = "auto"
	software = "software" // adapters of WebGPU that are no GPU
)

// check looks at what was typed, and settles the precision.
func (f *deviceFlags) check(s *settings) error {
	if most := 4 * runtime.NumCPU(); f.threads < 0 || f.threads > max(most, 64) {
		return usagef("--threads is %d, wanted 0 (all cores) to %d", f.threads, max(most, 64))
	}
	if f.amp {
		if f.precision != "bf16" && s.setByUser("precision") {
			return usagef("--amp and --precision %s: give one of them", f.precision)
		}
		f.precision = "bf16"
	}
	if err := checkDevice(f.device); err != nil {
		return err
	}
	if err := oneOf(kernelsFlag, f.kernels, "all", "warps", "simple"); err != nil {
		return err
	}
	_, err := storage(f.precision)
	return err
}

// try opens the device and closes it: one that is not there, or that cannot store what
// is wanted, is an error before hours are spent on what it is to compute.
func (f deviceFlags) try(s *settings) error {
	dev, err := f.open(s)
	if err != nil {
		return err
	}
	_, err = f.storage(dev)
	return errors.Join(err, dev.Close())
}

// open opens the device; it must be closed. From then on device and precision are
// those that are used.
func (f *deviceFlags) open(s *settings) (backend.Device, error) {
	if err := f.check(s); err != nil {
		return nil, err
	}
	if f.device == auto {
		dev, name := f.openGPU()
		if f.device = name; dev != nil {
			return dev, nil
		}
	}
	switch name, which, _ := strings.Cut(f.device, ":"); name {
	case onCPU:
		return cpu.Open(cpu.Options{Workers: f.threads, ISA: which}), nil
	case onCUDA:
		ordinal, err := ordinalOf(which)
		if err != nil {
			return nil, err
		}
		return cuda.Open(f.cuda(ordinal))
	default:
		return webgpu.Open(webgpu.Options{Software: which == software})
	}
}

// cuda are the options of a GPU.
func (f *deviceFlags) cuda(ordinal int) cuda.Options {
	return cuda.Options{Ordinal: ordinal, Untuned: !f.tune, Kernels: f.kernels, Warn: warnOfKernels}
}

// warnOfKernels tells of kernels that a GPU makes other numbers with.
func warnOfKernels(text string) { fmt.Fprintln(os.Stderr, "warning   "+text) }

// checkDevice looks at the name of a device, which need not be there.
func checkDevice(device string) error {
	switch name, which, _ := strings.Cut(device, ":"); {
	case device == auto, name == onWebGPU && (which == "" || which == software):
		return nil
	case name == onCPU && which != "" && !slices.Contains(cpu.ISAs(), which):
		return usagef("device %q: this processor has kernels for %s", device, strings.Join(cpu.ISAs(), ", "))
	case name == onCPU:
		return nil
	case name == onCUDA:
		if _, err := ordinalOf(which); err != nil {
			return usagef("device %q: wanted cuda, or cuda: and the number of a GPU, from 0 on", device)
		}
		return nil
	}
	return usagef("device %q: wanted auto, cpu, cpu:KERNELS, cuda, cuda:NUMBER, webgpu or webgpu:software", device)
}

// openGPU is the GPU that auto takes: an NVIDIA one before what WebGPU has. Without
// one it is nil, and the name that of the CPU.
func (f *deviceFlags) openGPU() (dev backend.Device, name string) {
	if dev, err := cuda.Open(f.cuda(0)); err == nil {
		return dev, onCUDA
	}
	if dev, err := webgpu.Open(webgpu.Options{}); err == nil {
		return dev, onWebGPU
	}
	return nil, onCPU
}

// ordinalOf is the number of a GPU; the first where none is given.
func ordinalOf(which string) (int, error) {
	if which == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(which, 10, 16)
	return int(n), err
}

// storage is the element type of activations on dev.
func (f *deviceFlags) storage(dev backend.Device) (graph.DType, error) {
	t, err := storage(f.precision)
	if err != nil {
		return t, err
	}
	l := dev.Limits()
	if t == graph.F16 && !l.F16 || t == graph.BF16 && !l.BF16 {
		return t, usagef("precision %s: %s cannot store it", f.precision, dev.Name())
	}
	return t, nil
}

// workers is the number of threads that compute.
func (f *deviceFlags) workers() int { return cmp.Or(f.threads, runtime.GOMAXPROCS(0)) }
