// Package emulate makes images of CUDA kernels that run on a CPU: the same files,
// compiled by g++ with a device.cuh of its own (emulate.h says how they run). It is
// for tests without a GPU, and no part of the backend.
package emulate

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

var (
	//go:embed runtime/emulate.h
	header string
	//go:embed runtime/emulate.cpp
	runtimeSource string
	//go:embed runtime/instructions.cpp
	instructions string
	//go:embed runtime/device.cuh
	device string
)

// Image is a kernel in a shared library, whose symbol "emulated" is an
// emulate_image, and the constants that its launches take.
type Image struct {
	Path      string
	Constants []uint32
}

// Compiler builds images and keeps those that it has built.
type Compiler struct {
	Dir string // of the libraries

	mutex sync.Mutex
	made  map[string]func() error // by path: waits for the library
}

// Runtime builds the library that images need: it must be loaded before them, for
// all to see.
func (c *Compiler) Runtime() (string, error) {
	return c.build("emulate", runtimeSource+instructions, "-O3")
}

// Kernel builds the image of a source, as shaders.CUDA makes it. Constants of
// shapes become variables, so that kernels that differ by them share a library.
func (c *Compiler) Kernel(name, source string) (Image, error) {
	text, values, err := variables(name, source)
	if err != nil {
		return Image{}, err
	}
	path, err := c.build(name, text, "-O1")
	return Image{path, values}, err
}

// variables replaces constants by variables and a function that sets them.
func variables(name, source string) (text string, values []uint32, err error) {
	var b, set strings.Builder
	for line := range strings.Lines(source) {
		var kind, id, value string
		if n, _ := fmt.Sscanf(line, "constexpr %s %s = %s", &kind, &id, &value); n < 3 || kind == "int" {
			b.WriteString(line)
			continue
		}
		bits, err := bitsOf(kind, strings.TrimSuffix(value, ";"))
		if err != nil {
			return "", nil, fmt.Errorf("emulate: kernel %s: %s: %w", name, id, err)
		}
		fmt.Fprintf(&b, "static %s %s;\n", kind, id)
		cast := map[string]string{"float": "float_from(v[%d])", "bool": "v[%d] != 0", "unsigned": "v[%d]"}[kind]
		fmt.Fprintf(&set, "    %s = "+cast+";\n", id, len(values))
		values = append(values, bits)
	}
	fmt.Fprintf(&b, "static void emulate_set(const unsigned *v) {\n%s    (void)v;\n}\nEMULATED(%s, emulate_set)\n", set.String(), name)
	return b.String(), values, nil
}

func bitsOf(kind, value string) (uint32, error) {
	switch kind {
	case "unsigned":
		v, err := strconv.ParseUint(strings.TrimSuffix(value, "u"), 10, 32)
		return uint32(v), err
	case "bool":
		if value == "true" {
			return 1, nil
		}
		return 0, nil
	case "float":
		v, err := strconv.ParseFloat(strings.TrimSuffix(value, "f"), 32)
		return math.Float32bits(float32(v)), err
	}
	return 0, fmt.Errorf("constant of type %s, wanted unsigned, bool, float or int", kind)
}

// build compiles a source to a library, once.
func (c *Compiler) build(name, source, optimise string) (string, error) {
	args := []string{
		"-shared", "-fPIC", "-std=c++17", optimise, "-march=native", "-ffp-contract=off", "-fno-strict-aliasing",
		"-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function", "-fno-exceptions", "-fno-asynchronous-unwind-tables", "-fvisibility=hidden",
	}
	if name == "emulate" {
		args = append(args, "-pthread")
	}
	hash := sha256.New()
	for _, part := range append(args, header, device, source) {
		hash.Write([]byte(part + "\x00"))
	}
	path := filepath.Join(c.Dir, name+"-"+hex.EncodeToString(hash.Sum(nil)[:8])+".so")
	c.mutex.Lock()
	if c.made == nil {
		c.made = map[string]func() error{}
	}
	wait := c.made[path]
	if wait == nil {
		wait = sync.OnceValue(func() error {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return c.compile(path, source, args)
		})
		c.made[path] = wait
	}
	c.mutex.Unlock()
	return path, wait()
}

func (c *Compiler) compile(path, source string, args []string) error {
	include, err := c.include()
	if err != nil {
		return err
	}
	part, err := os.MkdirTemp(c.Dir, "part") // a library that is there is whole
	if err != nil {
		return err
	}
	defer os.RemoveAll(part)
	made := filepath.Join(part, filepath.Base(path))
	cmd := exec.Command("g++", append(args, "-I", include, "-x", "c++", "-", "-o", made)...)
	cmd.Stdin = strings.NewReader(source)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("emulate: %s: g++: %w\n%s", filepath.Base(path), err, log.String())
	}
	return os.Rename(made, path)
}

// include is the folder of the headers: one for each version of them, as others may
// build at the same time.
func (c *Compiler) include() (string, error) {
	sum := sha256.Sum256([]byte(header + device))
	folder := filepath.Join(c.Dir, "include-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(folder); err == nil {
		return folder, nil
	}
	part, err := os.MkdirTemp(c.Dir, "include")
	if err != nil {
		return "", err
	}
	for name, text := range map[string]string{"emulate.h": header, "device.cuh": device} {
		if err := os.WriteFile(filepath.Join(part, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	defer os.RemoveAll(part) // of another process, which was faster
	if err := os.Rename(part, folder); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return folder, nil
}
