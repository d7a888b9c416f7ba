//go:build linux

// Package library opens shared libraries at run time, without cgo, and looks where
// NVIDIA's may be.
package library

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/ebitengine/purego"
)

// Open opens the first of a list that is there; the error is of the first.
func Open(paths []string) (handle uintptr, path string, err error) {
	runtime.LockOSThread() // which has the text of the error
	defer runtime.UnlockOSThread()
	for _, p := range paths {
		h, e := purego.Dlopen(p, purego.RTLD_NOW|purego.RTLD_GLOBAL)
		if e == nil {
			return h, p, nil
		}
		if err == nil {
			err = e
		}
	}
	return 0, "", err
}

// Bind sets functions, which are pointers to variables, by the names of their symbols.
func Bind(handle uintptr, functions map[string]any) error {
	for name, f := range functions {
		symbol, err := purego.Dlsym(handle, name)
		if err != nil {
			return fmt.Errorf("it has no %s", name)
		}
		purego.RegisterFunc(f, symbol)
	}
	return nil
}

// Find lists the files of a pattern in the folders of toolkits and of the wheels that
// PyTorch comes with, the newest first.
func Find(pattern string) []string {
	folders := []string{
		"/usr/local/cuda*/lib64", "/usr/local/cuda*/targets/*/lib", "/opt/cuda/lib64",
		"/usr/lib/python3*/*-packages/nvidia/*/lib", "/usr/local/lib/python3*/*-packages/nvidia/*/lib", "/opt/*/lib/python3*/site-packages/nvidia/*/lib",
	}
	for _, name := range []string{"CUDA_HOME", "CUDA_PATH"} {
		if home := os.Getenv(name); home != "" {
			folders = slices.Insert(folders, 0, filepath.Join(home, "lib64"), filepath.Join(home, "lib"))
		}
	}
	for _, name := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if home := os.Getenv(name); home != "" {
			folders = append(folders, filepath.Join(home, "lib"), filepath.Join(home, "lib/python3*/site-packages/nvidia/*/lib"))
		}
	}
	var files []string
	for _, folder := range folders {
		found, _ := filepath.Glob(filepath.Join(folder, pattern)) // in the order of names
		slices.Reverse(found)
		files = append(files, found...)
	}
	return files
}
