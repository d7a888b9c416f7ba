//go:build cuda && linux

package cuda

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"gorgonia.org/cu"

	"github.com/gounet/gounet/backend_cuda/library"
)

// Libraries looks for NVIDIA's libraries, and says where they are or what is missing.
func Libraries() []Library {
	driver := Library{Name: "driver", Needed: "to run anything on the GPU"}
	if d, err := openDriver(); err != nil {
		driver.Missing = plain(err)
	} else {
		driver.Path = d.path
		var version int32
		if d.version(&version) == 0 {
			driver.Version = fmt.Sprintf("CUDA %d.%d", version/1000, version%1000/10)
		}
	}
	kernels := Library{Name: "NVRTC", Needed: "to compile the kernels for the GPU"}
	if n, err := openNVRTC(); err != nil {
		kernels.Missing = err.Error()
	} else {
		kernels.Path, kernels.Version = n.Path, fmt.Sprintf("%d.%d", n.Major, n.Minor)
	}
	return []Library{driver, kernels, lookForNCCL()}
}

// plain is the text of an error without what every one begins with.
func plain(err error) string { return strings.TrimPrefix(err.Error(), ErrNoDevice.Error()+": ") }

// ncclPackages have NCCL.
const ncclPackages = "install Debian's or NVIDIA's libnccl2, or the wheel nvidia-nccl-cu13, and name its folder in LD_LIBRARY_PATH"

// ncclPaths are where NCCL may be.
func ncclPaths() []string { return append([]string{"libnccl.so.2"}, library.Find("libnccl.so.2")...) }

// lookForNCCL looks for NCCL.
func lookForNCCL() Library {
	l := Library{Name: "NCCL", Needed: "to train on several GPUs"}
	handle, path, err := library.Open(ncclPaths())
	if err != nil {
		l.Missing = fmt.Sprintf("%v: %s", err, ncclPackages)
		return l
	}
	l.Path = path
	var get func(*int32) int32
	var version int32
	if library.Bind(handle, map[string]any{"ncclGetVersion": &get}) == nil && get(&version) == 0 {
		l.Version = fmt.Sprintf("%d.%d.%d", version/10000, version%10000/100, version%100)
	}
	return l
}

// GPUs lists those that the driver sees.
func GPUs() ([]GPU, error) {
	d, err := openDriver()
	if err != nil {
		return nil, err
	}
	n, err := cu.NumDevices()
	if err != nil {
		return nil, d.told(err)
	}
	var list []GPU
	for i := range n {
		gpu, err := d.gpu(i)
		if err != nil {
			return list, err
		}
		f, err := d.facts(gpu)
		if err != nil {
			return list, fmt.Errorf("GPU %d: %w", i, err)
		}
		g := GPU{Name: f.name, Arch: fmt.Sprintf("sm_%d", f.arch), Bytes: f.bytes}
		if err := f.trouble(); err != nil {
			g.Trouble = err.Error()
		} else if c, err := openCompiler(); err != nil {
			g.Trouble = plain(err)
		} else if err := c.fits(f); err != nil {
			g.Trouble = err.Error()
		}
		list = append(list, g)
	}
	return list, nil
}

// Together says why the first n GPUs of this machine cannot train together: which is asked
// before anything is done that they are to train on.
func Together(n int) error {
	d, err := openDriver()
	if err != nil {
		return fmt.Errorf("cuda: %w", err)
	}
	c, err := openCompiler()
	if err != nil {
		return fmt.Errorf("cuda: %w", err)
	}
	if err := groupOf(d, c, ncclPaths(), n); err != nil {
		return fmt.Errorf("cuda: %w", err)
	}
	return nil
}

func groupOf(d *driver, c compiler, nccl []string, n int) error {
	there, err := cu.NumDevices()
	if err != nil && !errors.Is(err, cu.NoDevice) {
		return d.told(err)
	}
	if there < n {
		return fmt.Errorf("%w: %d GPUs are asked for, the driver sees %d: nvidia-smi lists them, CUDA_VISIBLE_DEVICES may hide some", ErrNoDevice, n, there)
	}
	for i := range n {
		gpu, err := d.gpu(i)
		if err != nil {
			return err
		}
		f, err := d.facts(gpu)
		if err == nil {
			err = cmp.Or(f.trouble(), c.fits(f))
		}
		if err != nil {
			return fmt.Errorf("GPU %d: %w", i, err)
		}
	}
	_, err = loadNCCL(nccl)
	return err
}
