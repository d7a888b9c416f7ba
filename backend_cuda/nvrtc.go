//go:build linux

package cuda

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/ebitengine/purego"

	"github.com/gounet/gounet/shaders"
)

// compiler makes images of kernels that a driver loads.
type compiler interface {
	// fits says no to an architecture that it does not compile for.
	fits(arch int) error
	// image is of one kernel, whose entry has its name. It may be called from several
	// goroutines at once.
	image(kernel, source string, arch int) ([]byte, error)
	// version is all that an image depends on beside its source and architecture.
	version() string
}

// nvrtc is NVIDIA's compiler.
type nvrtc struct {
	path         string
	major, minor int32
	archs        []int32
	header       string // that kernels include

	about       func(major, minor *int32) int32
	archCount   func(*int32) int32
	archList    func(*int32) int32
	errorText   func(int32) string
	create      func(program *uintptr, source, name string, headers int32, texts, names **byte) int32
	compile     func(program uintptr, options int32, list **byte) int32
	destroy     func(program *uintptr) int32
	imageSize   func(program uintptr, bytes *uint64) int32
	imageOf     func(program uintptr, to *byte) int32
	messageSize func(program uintptr, bytes *uint64) int32
	messageOf   func(program uintptr, to *byte) int32
}

func (n *nvrtc) names() map[string]any {
	return map[string]any{
		"nvrtcVersion": &n.about, "nvrtcGetNumSupportedArchs": &n.archCount, "nvrtcGetSupportedArchs": &n.archList,
		"nvrtcGetErrorString": &n.errorText, "nvrtcCreateProgram": &n.create, "nvrtcCompileProgram": &n.compile,
		"nvrtcDestroyProgram": &n.destroy, "nvrtcGetCUBINSize": &n.imageSize, "nvrtcGetCUBIN": &n.imageOf,
		"nvrtcGetProgramLogSize": &n.messageSize, "nvrtcGetProgramLog": &n.messageOf,
	}
}

// openNVRTC opens the compiler of this process, once.
var openNVRTC = sync.OnceValues(func() (*nvrtc, error) { return loadNVRTC(nvrtcNames()) })

// nvrtcNames are where NVRTC may be: by the loader, in toolkits, and in the wheels
// that PyTorch comes with.
func nvrtcNames() []string {
	names := []string{"libnvrtc.so.13", "libnvrtc.so.12"}
	for _, folder := range libraryFolders() {
		found, _ := filepath.Glob(filepath.Join(folder, "libnvrtc.so.1[23]"))
		names = append(names, found...)
	}
	return names
}

// libraryFolders are those of toolkits and wheels, the newest first.
func libraryFolders() []string {
	patterns := []string{
		"/usr/local/cuda*/lib64", "/usr/local/cuda*/targets/*/lib", "/opt/cuda/lib64",
		"/usr/lib/python3*/*-packages/nvidia/*/lib", "/usr/local/lib/python3*/*-packages/nvidia/*/lib", "/opt/*/lib/python3*/site-packages/nvidia/*/lib",
	}
	for _, name := range []string{"CUDA_HOME", "CUDA_PATH"} {
		if home := os.Getenv(name); home != "" {
			patterns = slices.Insert(patterns, 0, filepath.Join(home, "lib64"), filepath.Join(home, "lib"))
		}
	}
	for _, name := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if home := os.Getenv(name); home != "" {
			patterns = append(patterns, filepath.Join(home, "lib"), filepath.Join(home, "lib/python3*/site-packages/nvidia/*/lib"))
		}
	}
	var folders []string
	for _, p := range patterns {
		found, _ := filepath.Glob(p) // in the order of names
		slices.Reverse(found)
		folders = append(folders, found...)
	}
	return folders
}

// loadNVRTC opens the first library that is there. NVRTC opens its builtins by their
// bare name, which the loader finds only if those beside it are open.
func loadNVRTC(paths []string) (*nvrtc, error) {
	for _, p := range paths {
		if !strings.Contains(p, "/") {
			continue
		}
		if _, err := os.Stat(p); err != nil {
			continue
		}
		beside, _ := filepath.Glob(filepath.Join(filepath.Dir(p), "libnvrtc-builtins.so.*"))
		for _, b := range beside {
			_, _ = purego.Dlopen(b, purego.RTLD_NOW|purego.RTLD_GLOBAL) // compiling says what is missing
		}
	}
	handle, path, err := openFirst(paths)
	if err != nil {
		return nil, fmt.Errorf("%w: no NVRTC, which compiles the kernels (%w): install Debian's libnvrtc12, NVIDIA's cuda-nvrtc-13-0, or the wheel nvidia-cuda-nvrtc, and name its folder in LD_LIBRARY_PATH", ErrNoDevice, err)
	}
	header, err := shaders.CUDAHeader()
	if err != nil {
		return nil, err
	}
	n := &nvrtc{path: path, header: header}
	if err := register(handle, n.names()); err != nil {
		return nil, fmt.Errorf("%s: %w: install NVRTC 12 or later", path, err)
	}
	var count int32
	for _, rc := range []int32{n.about(&n.major, &n.minor), n.archCount(&count)} {
		if rc != 0 {
			return nil, fmt.Errorf("%s: %s", path, n.errorText(rc))
		}
	}
	n.archs = make([]int32, count)
	if count == 0 || n.archList(&n.archs[0]) != 0 {
		return nil, fmt.Errorf("%s: it names no architecture", path)
	}
	return n, nil
}

func (n *nvrtc) version() string {
	return fmt.Sprintf("nvrtc %d.%d %v\n%s", n.major, n.minor, options(0), n.header)
}

func (n *nvrtc) fits(arch int) error {
	if slices.Contains(n.archs, int32(arch)) {
		return nil
	}
	return fmt.Errorf("NVRTC %d.%d (%s) compiles for %v, not for compute capability %d.%d: install a newer one", n.major, n.minor, n.path, n.archs, arch/10, arch%10)
}

// options of every kernel. Hopper's instructions for its tensor cores are of no
// other architecture: sm_90a.
func options(arch int) []string {
	name := fmt.Sprintf("sm_%d", arch)
	if arch == 90 {
		name += "a"
	}
	return []string{"--gpu-architecture=" + name, "--std=c++17", "-default-device"}
}

func (n *nvrtc) image(kernel, source string, arch int) ([]byte, error) {
	code, _, err := n.build(kernel, source, options(arch))
	return code, err
}

// build also returns what the compiler has to say of what it made.
func (n *nvrtc) build(kernel, source string, options []string) (code []byte, log string, err error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	var program uintptr
	rc := n.create(&program, source, kernel+".cu", 1, texts(&pin, n.header), texts(&pin, "device.cuh"))
	if rc != 0 {
		return nil, "", errors.New(n.errorText(rc))
	}
	defer n.destroy(&program)
	rc = n.compile(program, int32(len(options)), texts(&pin, options...))
	message, _ := get(program, n.messageSize, n.messageOf)
	log = strings.TrimRight(string(message), "\x00\n")
	if rc != 0 {
		return nil, log, fmt.Errorf("%s: %s", n.errorText(rc), log)
	}
	if code, rc = get(program, n.imageSize, n.imageOf); rc != 0 {
		return nil, log, fmt.Errorf("no image: %s", n.errorText(rc))
	}
	return code, log, nil
}

// get is a text of a program.
func get(program uintptr, size func(uintptr, *uint64) int32, text func(uintptr, *byte) int32) ([]byte, int32) {
	var bytes uint64
	if rc := size(program, &bytes); rc != 0 || bytes == 0 {
		return nil, rc
	}
	b := make([]byte, bytes)
	return b, text(program, &b[0])
}

// texts are C's, for a call.
func texts(pin *runtime.Pinner, list ...string) **byte {
	all := make([]*byte, len(list))
	for i, s := range list {
		b := append(bytes.Clone([]byte(s)), 0)
		pin.Pin(&b[0])
		all[i] = &b[0]
	}
	pin.Pin(&all[0])
	return &all[0]
}
