package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	cpu "github.com/gounet/gounet/backend_cpu"
	cuda "github.com/gounet/gounet/backend_cuda"
	webgpu "github.com/gounet/gounet/backend_webgpu"
	"github.com/gounet/gounet/internal/machine"
)

func newDoctor(a *app) *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "say what this machine has, and what will be used and why",
		Long: `doctor looks at the CPU, its instruction sets, memory, disk space and devices,
and says which of them gounet will use and why. It changes nothing.`,
		Example: `  gounet doctor
  gounet doctor --json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			d := examine()
			if asJSON {
				return printJSON(a.out, d)
			}
			return d.print(a.out)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// diagnosis is what `gounet doctor --json` prints. Sizes are bytes, 0 if unknown.
type diagnosis struct {
	Version string `json:"version"`
	OS      string `json:"os"`
	CPU     struct {
		Name     string          `json:"name"`
		Arch     string          `json:"arch"`
		Cores    int             `json:"cores"`   // that the system has for us
		Threads  int             `json:"threads"` // that will be used
		Features map[string]bool `json:"features"`
	} `json:"cpu"`
	Memory struct {
		Total     int64 `json:"total"`
		Available int64 `json:"available"`
	} `json:"memory"`
	Disk struct {
		Folder string `json:"folder"`
		Free   int64  `json:"free"`
	} `json:"disk"`
	Devices   []device  `json:"devices"`
	Libraries []library `json:"libraries"` // of NVIDIA's, that CUDA looks for
	Advice    []string  `json:"advice"`

	features []machine.Feature
}

// device is one that programs can run on.
type device struct {
	Name    string   `json:"name"`
	Kernels string   `json:"kernels"` // in use
	Others  []string `json:"others"`  // to be had by --device NAME:KERNELS
	Used    bool     `json:"used"`
	Why     string   `json:"why"`
}

// library is one of NVIDIA's. Where it was found, or why not and which package has it.
type library struct {
	Name    string `json:"name"`
	Path    string `json:"path,omitempty"`
	Version string `json:"version,omitempty"`
	Needed  string `json:"needed"`
	Missing string `json:"missing,omitempty"`
}

// examine asks the machine.
func examine() *diagnosis {
	d := &diagnosis{Version: version, OS: runtime.GOOS, features: machine.Features()}
	d.CPU.Name = machine.CPU()
	d.CPU.Arch = runtime.GOARCH
	d.CPU.Cores = runtime.NumCPU()
	d.CPU.Threads = runtime.GOMAXPROCS(0)
	d.CPU.Features = map[string]bool{}
	for _, f := range d.features {
		d.CPU.Features[f.Name] = f.Has
	}
	memory := machine.MainMemory()
	d.Memory.Total, d.Memory.Available = memory.Total, memory.Available
	if folder, err := os.Getwd(); err == nil {
		d.Disk.Folder = folder
		if free, err := machine.DiskFree(folder); err == nil {
			d.Disk.Free = free
		}
	}
	kernels := cpu.ISAs()
	d.Devices = []device{{Name: onCPU, Kernels: kernels[0], Others: kernels[1:], Used: true, Why: cpuWhy(kernels[0])}}
	d.Libraries = []library{}
	for _, l := range cuda.Libraries() {
		d.Libraries = append(d.Libraries, library(l))
	}
	d.Devices = append(append(d.Devices, d.cudaDevices()...), gpuDevice())
	d.Advice = d.advise()
	return d
}

// cudaDevices are the GPUs that CUDA has here, or why there is none.
func (d *diagnosis) cudaDevices() []device {
	none := device{Name: onCUDA, Kernels: "none", Others: []string{}}
	gpus, err := cuda.GPUs()
	switch {
	case !cuda.Built:
		none.Why = "CUDA is not in this binary: build it on Linux with make build"
		return []device{none}
	case d.Libraries[0].Missing != "":
		none.Why = "the NVIDIA driver is missing, see below"
		return []device{none}
	case err != nil:
		none.Why = err.Error()
		return []device{none}
	case len(gpus) == 0:
		none.Why = "the driver sees no GPU: nvidia-smi lists them, CUDA_VISIBLE_DEVICES may hide them"
		return []device{none}
	}
	var list []device
	for i, g := range gpus {
		one := device{Name: fmt.Sprintf("%s:%d", onCUDA, i), Kernels: "CUDA for " + g.Arch, Others: []string{}}
		if kernels := os.Getenv(variable(kernelsFlag)); kernels != "" && kernels != "all" {
			one.Kernels += ", " + kernels + " only (" + variable(kernelsFlag) + ")"
		}
		one.Why = fmt.Sprintf("%s, %s: by --device %s", g.Name, size(g.Bytes), one.Name)
		if i == 0 {
			one.Why += " or auto"
		}
		if g.Trouble != "" {
			one.Kernels, one.Why = "none", g.Name+": "+g.Trouble
		}
		list = append(list, one)
	}
	return list
}

// gpuDevice is what WebGPU has here.
func gpuDevice() device {
	d := device{Name: onWebGPU, Kernels: "WGSL", Others: []string{}}
	dev, err := webgpu.Open(webgpu.Options{})
	if err != nil {
		d.Kernels, d.Why = "none", strings.TrimPrefix(err.Error(), "webgpu: ")
		return d
	}
	d.Why = dev.Name() + ": by --device webgpu or auto"
	_ = dev.Close() // nothing is left to lose
	return d
}

// cpuWhy says why the kernels that the CPU backend chose are the best here.
func cpuWhy(kernels string) string {
	switch {
	case kernels == "avx512-bf16":
		return "AVX-512 multiplies 16 numbers at once, and its bf16 instruction twice as many: --precision bf16 pays"
	case kernels == "avx512":
		return "AVX-512 multiplies 16 numbers at once; no bf16 instruction, so --precision bf16 saves memory but little time"
	case kernels == "avx2":
		return "AVX2 and FMA multiply 8 numbers at once; no AVX-512; --precision bf16 saves memory but little time"
	case runtime.GOARCH == "amd64":
		return "neither AVX-512 nor AVX2 with FMA: plain Go, ten times slower or more"
	}
	return "kernels in assembly exist for amd64 only: plain Go, ten times slower or more"
}

// Thresholds of the advice, in bytes.
const (
	littleMemory = 4 << 30  // nnU-Net's smallest plans train within it
	littleDisk   = 10 << 30 // a preprocessed MSD task and a few runs
)

// advise lists what will get in the way.
func (d *diagnosis) advise() []string {
	advice := []string{}
	if m := d.Memory.Available; m > 0 && m < littleMemory {
		advice = append(advice, fmt.Sprintf("%s of memory are available: plan with a smaller memory target, or close other programs", size(m)))
	}
	if d.Disk.Free > 0 && d.Disk.Free < littleDisk {
		advice = append(advice, fmt.Sprintf("%s are free in %s: preprocessed data and runs may need more", size(d.Disk.Free), d.Disk.Folder))
	}
	if d.CPU.Threads < d.CPU.Cores {
		advice = append(advice, fmt.Sprintf("%d of %d cores will be used: GOMAXPROCS or the container says so", d.CPU.Threads, d.CPU.Cores))
	}
	return advice
}

func (d *diagnosis) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	name := d.CPU.Name
	if name == "" {
		name = "unknown"
	}
	fmt.Fprintf(t, "gounet\t%s on %s/%s\n", d.Version, d.OS, d.CPU.Arch)
	fmt.Fprintf(t, "CPU\t%s, %d cores, %d used\n", name, d.CPU.Cores, d.CPU.Threads)
	var features []string
	for _, f := range d.features {
		mark := "no "
		if f.Has {
			mark = ""
		}
		features = append(features, mark+f.Name)
	}
	fmt.Fprintf(t, "features\t%s\n", strings.Join(features, ", "))
	fmt.Fprintf(t, "memory\t%s, %s available\n", size(d.Memory.Total), size(d.Memory.Available))
	fmt.Fprintf(t, "disk\t%s free in %s\n", size(d.Disk.Free), d.Disk.Folder)
	for _, device := range d.Devices {
		use := "not used"
		if device.Used {
			use = "used"
		}
		fmt.Fprintf(t, "device\t%s: %s, kernels %s\n\t%s\n", device.Name, use, device.Kernels, device.Why)
	}
	for _, l := range d.Libraries {
		fmt.Fprintf(t, "NVIDIA %s\t%s\n\t%s\n", l.Name, strings.TrimSuffix(cmp.Or(l.Path, "missing")+", "+l.Version, ", "), cmp.Or(l.Missing, l.Needed))
	}
	for _, line := range d.Advice {
		fmt.Fprintf(t, "note\t%s\n", line)
	}
	return t.Flush()
}

// size is a number of bytes as people say it.
func size(bytes int64) string {
	switch {
	case bytes <= 0:
		return "unknown"
	case bytes < 1<<20:
		return fmt.Sprintf("%.0f KiB", float64(bytes)/(1<<10))
	case bytes < 1<<30:
		return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
}
