package webgpu

import (
	"context"
	"encoding/binary"
	"errors"
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
	// pipelines compiles modules, several at a time. Where one is wrong nothing is
	// made, and the error is a *listError.
	pipelines(list []module) ([]pipeline, error)
	// groups binds memory to pipelines. Where one is wrong nothing is made, and the
	// error is a *listError.
	groups(list []binding) ([]group, error)
	// submit starts dispatches in order.
	submit(list []dispatch) (submitted, error)
	// write and read move whole words; read waits for what was submitted.
	write(m memory, off int64, src []byte) error
	read(ctx context.Context, m memory, off int64, dst []byte) error
	// mark is done when all that was handed to the queue is.
	mark() (submitted, error)
	close()
}

// submitted is work that the queue has.
type submitted interface {
	// wait returns when the work is done, with the errors that it made, or when ctx
	// ends. It may be called again after that.
	wait(ctx context.Context) error
}

// facts of an adapter and of the device that was got from it.
type facts struct {
	name         string
	software     bool  // no real GPU
	f16          bool  // shader-f16
	bufferBytes  int64 // maxBufferSize
	bindingBytes int64 // maxStorageBufferBindingSize
	bindings     int   // maxStorageBuffersPerShaderStage
	groups       int   // maxComputeWorkgroupsPerDimension
}

// promised is what every WebGPU device has: the defaults of the limits.
var promised = facts{bufferBytes: 256 << 20, bindingBytes: 128 << 20, bindings: 8, groups: 65535}

// What the halves hand out.
type (
	memory   interface{ release() }
	pipeline interface{ release() }
	group    interface{ release() }
)

// module is the code of a kernel, whose main binds so many storage buffers in
// group 0.
type module struct {
	wgsl     string
	bindings int
}

// span is what a kernel may touch of a buffer. off is a multiple of 256.
type span struct {
	m     memory
	off   int64
	bytes int64
}

// binding is a kernel with its memory.
type binding struct {
	p     pipeline
	spans []span
}

// dispatch is a kernel with its memory and rows of workgroups.
type dispatch struct {
	p     pipeline
	g     group
	x     int     // workgroups of a row
	first int     // row
	rows  int     // from it on, at most mostRows with those before
	node  int     // of the program
	work  float64 // that its node does by them, see workOf
}

// slab is so many rows of d, from a row on.
func (d dispatch) slab(first, rows int) dispatch {
	d.work *= float64(rows) / float64(d.rows)
	d.first, d.rows = d.first+first, rows
	return d
}

// mostRows of workgroups are what a dispatch can be cut into.
const mostRows = 1024

// rowStride is between the numbers of rows, of which a kernel is given one.
const rowStride = 256 // WebGPU minUniformBufferOffsetAlignment

// rowNumbers are the numbers of all rows, as kernels read them.
func rowNumbers() []byte {
	b := make([]byte, mostRows*rowStride)
	for i := range mostRows {
		binary.LittleEndian.PutUint32(b[i*rowStride:], uint32(i))
	}
	return b
}

// releaseAll releases those that were made.
func releaseAll[T interface {
	comparable
	release()
}](list []T) {
	var none T
	for _, p := range list {
		if p != none {
			p.release()
		}
	}
}

// listError is what is wrong with one of a list.
type listError struct {
	at  int
	err error
}

func (e *listError) Error() string { return e.err.Error() }
func (e *listError) Unwrap() error { return e.err }

// told is what the library says, on one line, and what it means: that the device is
// gone, or what to do where it has no memory left.
func told(err error) error {
	if err == nil {
		return nil
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if text != err.Error() {
		err = errors.New(text)
	}
	text = strings.ToLower(text)
	switch {
	case strings.Contains(text, "lost"):
		return fmt.Errorf("%w: %w", backend.ErrLost, err)
	case strings.Contains(text, "enough memory"), strings.Contains(text, "out of memory"):
		return noMemory(err)
	}
	return err
}

// noMemory is err with what to do.
func noMemory(err error) error {
	if errors.Is(err, backend.ErrMemory) {
		return err
	}
	return fmt.Errorf("%w: %w: choose a smaller patch or batch, or close what else is on the GPU", backend.ErrMemory, err)
}
