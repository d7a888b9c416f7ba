// Package cuda runs programs on NVIDIA GPUs. All kernels are CUDA files of package
// shaders, compiled at run time for the GPU and the shapes of the program.
//
// Compile captures the launches of a program as one CUDA graph; Run replays it.
// Nothing is decided in between. How convolutions are cut is measured when a GPU first meets
// them, and kept in the user's cache. What the host writes goes through pinned memory,
// in the order of the calls.
//
// The driver, NVRTC and NCCL are found at run time. Only builds with the tag cuda
// have the backend (see Makefile: `make build` sets what gorgonia.org/cu needs);
// in others Open says so.
package cuda

import (
	"context"
	"errors"
)

// Options choose a GPU.
type Options struct {
	Ordinal int          // counts from 0, in the order of the driver (CUDA_VISIBLE_DEVICES)
	Group   *Group       // the GPUs that take part in AllReduce; nil: this one alone
	Untuned bool         // kernels are cut by a model of their time, none is measured
	Kernels string       // which are used, where those of a GPU turn out to be wrong: "warps" are none by Hopper's instructions of groups of warps, "simple" none that multiplies matrices; "" or "all": all
	Warn    func(string) // is told of kernels that were measured, make other numbers than others, and are not used
}

// Group is a GPU's place among those of AllReduce. All of them open their devices at the
// same time.
type Group struct {
	Rank, World int
	Share       func(id []byte) error // replaces id by that of rank 0
	Ended       context.Context       // when a GPU of the group is lost, with the cause: the device is lost then too
	Fail        func(error)           // ends the group
}

// ErrNoDevice is in the chain of the error of Open where there is nothing to open:
// no driver, no GPU, or a program without this backend.
var ErrNoDevice = errors.New("no CUDA device")

// Library is one of NVIDIA's that this package opens at run time.
type Library struct {
	Name    string // "driver", "NVRTC", "NCCL"
	Path    string // where it was found, a name alone is the loader's to find; empty if it was not
	Version string
	Needed  string // what it is for
	Missing string // why it was not found, and which package has it
}

// GPU is a device that Open opens, or says why not.
type GPU struct {
	Name    string
	Arch    string // "sm_90"
	Bytes   int64  // of memory
	Trouble string // why Open refuses it; empty if it does not
}
