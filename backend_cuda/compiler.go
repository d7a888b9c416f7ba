//go:build cuda && linux

package cuda

import (
	"fmt"
	"slices"
	"sync"

	"github.com/gounet/gounet/backend_cuda/nvrtc"
	"github.com/gounet/gounet/shaders"
)

// compiler makes images of kernels that a driver loads.
type compiler interface {
	// fits says no to a GPU that it does not compile for, or whose driver does not load
	// what it makes.
	fits(f facts) error
	// image is of one kernel, whose entry has its name. It may be called from several
	// goroutines at once.
	image(kernel, source string, arch int) ([]byte, error)
	// version is all that an image depends on beside its source and architecture.
	version() string
}

// nvidia is NVIDIA's compiler, with the file that kernels include.
type nvidia struct {
	*nvrtc.NVRTC
	header string
}

// openNVRTC opens the NVRTC of this process, once: for its driver, where there is one.
var openNVRTC = sync.OnceValues(func() (*nvrtc.NVRTC, error) {
	var version int32
	if d, err := openDriver(); err == nil && d.version(&version) != 0 {
		version = 0
	}
	return nvrtc.Open(int(version / 1000))
})

func openCompiler() (compiler, error) {
	n, err := openNVRTC()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDevice, err)
	}
	header, err := shaders.CUDAHeader()
	return &nvidia{n, header}, err
}

func (n *nvidia) version() string {
	return fmt.Sprintf("nvrtc %d.%d %v\n%s", n.Major, n.Minor, nvrtc.Options(0), n.header)
}

// fits: code of one major version of CUDA is not loaded by drivers of those before it.
func (n *nvidia) fits(f facts) error {
	if major := int32(f.driver / 1000); major < n.Major {
		return fmt.Errorf("the driver of %s has CUDA %d.%d, NVRTC %d.%d (%s) makes code for CUDA %d: install a newer driver, or an NVRTC of CUDA %d",
			f.name, major, f.driver%1000/10, n.Major, n.Minor, n.Path, n.Major, major)
	}
	if slices.Contains(n.Archs, int32(f.arch)) {
		return nil
	}
	return fmt.Errorf("NVRTC %d.%d (%s) compiles for %v, not for compute capability %d.%d of %s: install a newer one",
		n.Major, n.Minor, n.Path, n.Archs, f.arch/10, f.arch%10, f.name)
}

func (n *nvidia) image(kernel, source string, arch int) ([]byte, error) {
	s := nvrtc.Source{Name: kernel + ".cu", Text: source, Header: "device.cuh", HeaderText: n.header}
	code, _, err := n.Compile(s, nvrtc.Options(arch))
	return code, err
}
