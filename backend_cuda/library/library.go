//go:build linux

// Package library opens shared libraries at run time, without cgo, and looks where
// NVIDIA's may be.
package library

import (
	"fmt"
	"os"
	"os/exec"
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
// PyTorch comes with, the newest first: those of the environment's variables and of the
// python3 in PATH before those of the system and of the user.
func Find(pattern string) []string {
	var folders []string
	for _, name := range []string{"CUDA_HOME", "CUDA_PATH"} {
		if home := os.Getenv(name); home != "" {
			folders = append(folders, filepath.Join(home, "lib64"), filepath.Join(home, "lib"))
		}
	}
	folders = append(folders, "/usr/local/cuda*/lib64", "/usr/local/cuda*/targets/*/lib", "/opt/cuda/lib64")
	for _, home := range pythons() {
		folders = append(folders, filepath.Join(home, "lib"), filepath.Join(home, "lib*/python3*/*-packages/nvidia/*/lib"))
	}
	var files []string
	for _, folder := range folders {
		found, _ := filepath.Glob(filepath.Join(folder, pattern)) // in the order of names
		slices.Reverse(found)
		files = append(files, found...)
	}
	return files
}

// pythons are the folders above bin of interpreters that may have the wheels, as patterns
// of filepath.Glob: that of a virtual environment, and the one that it was made by.
func pythons() []string {
	homes := []string{os.Getenv("VIRTUAL_ENV"), os.Getenv("CONDA_PREFIX")}
	if python, err := exec.LookPath("python3"); err == nil {
		homes = append(homes, filepath.Dir(filepath.Dir(python)))
		if behind, err := filepath.EvalSymlinks(python); err == nil {
			homes = append(homes, filepath.Dir(filepath.Dir(behind)))
		}
	}
	homes = append(homes, "/usr", "/usr/local", "/opt/*", "/opt/*/.venv")
	if home, err := os.UserHomeDir(); err == nil {
		homes = append(homes, filepath.Join(home, ".local"))
	}
	return slices.DeleteFunc(homes, func(home string) bool { return !filepath.IsAbs(home) })
}
