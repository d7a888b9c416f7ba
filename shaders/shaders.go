// Package shaders is the kernels of the GPU backends: NAME.wgsl and NAME.cu, each
// a file of its language with the formula on top, which a prelude of constants
// completes.
package shaders

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// prelude is the name of the file in front of every kernel.
const prelude = "prelude"

// Consts are the constants of a kernel's prelude by their names: int for u32,
// bool, and float32 for f32.
type Consts map[string]any

// Names lists the WGSL kernels.
func Names() []string { return named(".wgsl") }

// CUDANames lists the CUDA kernels.
func CUDANames() []string { return named(".cu") }

func named(ending string) []string {
	paths, err := fs.Glob(files, "*"+ending)
	if err != nil {
		panic(err) // the pattern is ours
	}
	var names []string
	for _, p := range paths {
		if n := strings.TrimSuffix(p, ending); n != prelude {
			names = append(names, n)
		}
	}
	return names
}

// CUDA is the kernel of that name with its constants and the prelude in front: a
// whole translation unit, but for CUDAHeader, which it includes. Its entry has the
// name of the kernel.
func CUDA(name, consts string) (string, error) {
	kernel, err := files.ReadFile(name + ".cu")
	if err != nil {
		return "", fmt.Errorf("shaders: there is no kernel %s: %w", name, err)
	}
	common, err := files.ReadFile(prelude + ".cuh")
	if err != nil {
		return "", err
	}
	return "#include \"device.cuh\"\n" + string(common) + consts + string(kernel), nil
}

// CUDAHeader is device.cuh, which NVRTC is handed with a kernel.
func CUDAHeader() (string, error) {
	b, err := files.ReadFile("device.cuh")
	return string(b), err
}

// WGSL is the kernel of that name with its constants and the prelude in front, and
// with its parts: a whole module, for devices with shader-f16 where f16 is true.
// Constants come in the order of their names, so that equal kernels are equal
// strings.
func WGSL(name string, consts Consts, f16 bool) (string, error) {
	kernel, err := files.ReadFile(name + ".wgsl")
	if err != nil {
		return "", fmt.Errorf("shaders: there is no kernel %s: %w", name, err)
	}
	common, err := files.ReadFile(prelude + ".wgsl")
	if err != nil {
		return "", err
	}
	var names []string
	for n := range consts {
		names = append(names, n)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		switch v := consts[n].(type) {
		case int:
			if v < 0 || int64(v) > 1<<32-1 {
				return "", fmt.Errorf("shaders: %s: %s is %d, wanted 32 bits without a sign", name, n, v)
			}
			fmt.Fprintf(&b, "const %s: u32 = %du;\n", n, v)
		case bool:
			fmt.Fprintf(&b, "const %s: bool = %v;\n", n, v)
		case float32:
			fmt.Fprintf(&b, "const %s: f32 = %sf;\n", n, strconv.FormatFloat(float64(v), 'g', -1, 32))
		default:
			return "", fmt.Errorf("shaders: %s: %s is a %T, wanted int, bool or float32", name, n, v)
		}
	}
	b.Write(common)
	b.Write(kernel)
	return withParts(name, b.String(), f16)
}
