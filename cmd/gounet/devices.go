package main

import (
	"cmp"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	cpu "github.com/gounet/gounet/backend_cpu"
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
}

func (f *deviceFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.device, "device", onCPU, "`name` of the device: cpu; cpu:KERNELS ("+strings.Join(cpu.ISAs(), ", ")+"); webgpu for a GPU, webgpu:software for any adapter; auto for a GPU if there is one, else the CPU")
	flags.IntVar(&f.threads, "threads", 0, "threads that compute; 0 is all cores. Results do not depend on it")
	flags.StringVar(&f.precision, "precision", "f32", "of activations: f32, bf16 or f16")
	flags.BoolVar(&f.amp, "amp", false, "short for --precision bf16")
}

// Names of devices. What stands behind one, after a colon, chooses among its kind.
const (
	onCPU    = "cpu"
	onWebGPU = "webgpu"
	auto     = "auto"
	software = "software" // adapters of WebGPU that are no GPU
)

// open opens the device; it must be closed. From then on device and precision are
// those that are used.
func (f *deviceFlags) open(s *settings) (backend.Device, error) {
	if most := 4 * runtime.NumCPU(); f.threads < 0 || f.threads > max(most, 64) {
		return nil, usagef("--threads is %d, wanted 0 (all cores) to %d", f.threads, max(most, 64))
	}
	if f.amp {
		if f.precision != "bf16" && s.setByUser("precision") {
			return nil, usagef("--amp and --precision %s: give one of them", f.precision)
		}
		f.precision = "bf16"
	}
	if f.device == auto {
		if dev, err := webgpu.Open(webgpu.Options{}); err == nil {
			f.device = onWebGPU
			return dev, nil
		}
		f.device = onCPU
	}
	switch name, which, _ := strings.Cut(f.device, ":"); {
	case name == onCPU && which != "" && !slices.Contains(cpu.ISAs(), which):
		return nil, usagef("device %q: this processor has kernels for %s", f.device, strings.Join(cpu.ISAs(), ", "))
	case name == onCPU:
		return cpu.Open(cpu.Options{Workers: f.threads, ISA: which}), nil
	case name == onWebGPU && (which == "" || which == software):
		return webgpu.Open(webgpu.Options{Software: which == software})
	}
	return nil, usagef("device %q: wanted auto, cpu, cpu:KERNELS, webgpu or webgpu:software", f.device)
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
