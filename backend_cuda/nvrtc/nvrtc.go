//go:build linux

// Package nvrtc is NVIDIA's compiler of kernels, which is opened at run time and needs
// no GPU.
package nvrtc

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/gounet/gounet/backend_cuda/library"
)

// NVRTC is the library.
type NVRTC struct {
	Path         string
	Major, Minor int32
	Archs        []int32 // that it compiles for: 75 for compute capability 7.5

	version     func(major, minor *int32) int32
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

func (n *NVRTC) names() map[string]any {
	return map[string]any{
		"nvrtcVersion": &n.version, "nvrtcGetNumSupportedArchs": &n.archCount, "nvrtcGetSupportedArchs": &n.archList,
		"nvrtcGetErrorString": &n.errorText, "nvrtcCreateProgram": &n.create, "nvrtcCompileProgram": &n.compile,
		"nvrtcDestroyProgram": &n.destroy, "nvrtcGetCUBINSize": &n.imageSize, "nvrtcGetCUBIN": &n.imageOf,
		"nvrtcGetProgramLogSize": &n.messageSize, "nvrtcGetProgramLog": &n.messageOf,
	}
}

// Open opens the newest compiler that makes code for CUDA of at most a major version,
// which a driver of that version loads, where the loader finds it, in a toolkit, or in a
// wheel. Where all are newer it opens one of those; 0 is any version.
func Open(most int) (*NVRTC, error) {
	return load(candidates(most, append([]string{"libnvrtc.so.13", "libnvrtc.so.12"}, library.Find("libnvrtc.so.1[23]")...)))
}

// candidates are paths with the newest major versions first, those above most at the end.
// Names say the version: to open a library shows its functions to those that are opened
// after it.
func candidates(most int, paths []string) []string {
	rank := func(path string) int {
		major, _ := strconv.Atoi(strings.TrimPrefix(filepath.Ext(path), "."))
		if most > 0 && major > most {
			return -major
		}
		return major
	}
	slices.SortStableFunc(paths, func(a, b string) int { return rank(b) - rank(a) })
	return paths
}

// load opens the first library that is there. NVRTC opens its builtins by their bare
// name when it compiles, which the loader finds only if those beside it are open.
func load(paths []string) (*NVRTC, error) {
	handle, path, err := library.Open(paths)
	if err != nil {
		return nil, fmt.Errorf("no NVRTC, which compiles the kernels (%w): install Debian's libnvrtc12, NVIDIA's cuda-nvrtc-13-0, or the wheel nvidia-cuda-nvrtc, and name its folder in LD_LIBRARY_PATH", err)
	}
	if strings.Contains(path, "/") {
		beside, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "libnvrtc-builtins.so.*"))
		_, _, _ = library.Open(beside) // compiling says what is missing
	}
	n := &NVRTC{Path: path}
	if err := library.Bind(handle, n.names()); err != nil {
		return nil, fmt.Errorf("%s: %w: install NVRTC 12 or later", path, err)
	}
	var count int32
	for _, rc := range []int32{n.version(&n.Major, &n.Minor), n.archCount(&count)} {
		if rc != 0 {
			return nil, fmt.Errorf("%s: %s", path, n.errorText(rc))
		}
	}
	n.Archs = make([]int32, count)
	if count == 0 || n.archList(&n.Archs[0]) != 0 {
		return nil, fmt.Errorf("%s: it names no architecture", path)
	}
	return n, nil
}

// Options of every kernel. Hopper's instructions for its tensor cores are of no other
// architecture: sm_90a.
func Options(arch int) []string {
	name := fmt.Sprintf("sm_%d", arch)
	if arch == 90 {
		name += "a"
	}
	return []string{"--gpu-architecture=" + name, "--std=c++17", "-default-device"}
}

// Source is a kernel and the one file that it includes.
type Source struct {
	Name, Text         string
	Header, HeaderText string
}

// Compile makes an image that a driver loads, and returns what the compiler has to
// say of it. It may be called from several goroutines at once.
func (n *NVRTC) Compile(s Source, options []string) (code []byte, log string, err error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	var program uintptr
	rc := n.create(&program, s.Text, s.Name, 1, texts(&pin, s.HeaderText), texts(&pin, s.Header))
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
