package webgpu

import (
	"context"
	"fmt"
	"strings"

	"github.com/gounet/gounet/core/backend"
)

// gpu is what this backend needs of WebGPU; gpu_native.go and gpu_js.go
// implement it. Its errors are Go errors, with backend.ErrLost in their chain
// when the device is gone.
type gpu interface {
	facts() facts
	// buffer makes zeroed memory for storage; bytes is a multiple of 4.
	buffer(bytes int64) (memory, error)
	// pipeline compiles a module whose main binds so many storage buffers in group 0.
	pipeline(wgsl string, bindings int) (pipeline, error)
	group(p pipeline, spans []span) (group, error)
	// submit starts dispatches in order.
	submit(list []dispatch) error
	// write and read move whole words; read waits for what was submitted.
	write(m memory, off int64, src []byte) error
	read(ctx context.Context, m memory, off int64, dst []byte) error
	close()
}

// facts of an adapter and of the device that was got from it.
type facts struct {
	name         string
	software     bool  // no real GPU
	bufferBytes  int64 // maxBufferSize
	bindingBytes int64 // maxStorageBufferBindingSize
	bindings     int   // maxStorageBuffersPerShaderStage
	groups       int   // maxComputeWorkgroupsPerDimension
}

// What the halves hand out.
type (
	memory   interface{ release() }
	pipeline interface{ release() }
	group    interface{ release() }
)

// span is what a kernel may touch of a buffer. off is a multiple of 256.
type span struct {
	m     memory
	off   int64
	bytes int64
}

// dispatch is a kernel with its memory and its workgroups.
type dispatch struct {
	p    pipeline
	g    group
	x, y int
	node int // of the program
}

// told is err, and says that the device is gone where the library says so.
func told(err error) error {
	if err != nil && strings.Contains(strings.ToLower(err.Error()), "lost") {
		return fmt.Errorf("%w: %w", backend.ErrLost, err)
	}
	return err
}
