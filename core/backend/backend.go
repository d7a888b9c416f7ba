// Package backend is the boundary between what is computed and how: a device
// owns memory, and runs programs. Ops are data; nothing here names one.
package backend

import (
	"context"
	"errors"
	"fmt"

	"github.com/gounet/gounet/core/compile"
	"github.com/gounet/gounet/core/graph"
)

// ErrLost is in the chain of every error of a device that is gone: open it again, unless
// ErrRestart is in it too.
var ErrLost = errors.New("device lost")

// ErrRestart is one in the chain of a device that only another process can open again.
var ErrRestart = fmt.Errorf("%w, for this process too", ErrLost)

// ErrMemory is in the chain of every error of a device that has no memory for what was
// asked of it; the device lives.
var ErrMemory = errors.New("out of memory")

// Device owns memory and compiles programs for it. A Device and all that it
// made belong to one goroutine at a time.
type Device interface {
	Name() string
	Limits() Limits
	// NewBuffer returns zeroed memory.
	NewBuffer(bytes int64) (Buffer, error)
	// Compile fixes p to the buffers of its regions, one a chunk. It rejects
	// an op or a size that the device cannot do; Run never does.
	Compile(p *compile.Program, bind map[graph.Region][]Buffer) (Executable, error)
	Close() error
}

// Buffer is device memory. Write, Run and Read happen in the order of the calls.
type Buffer interface {
	Write(ctx context.Context, off int64, src []byte) error
	Read(ctx context.Context, off int64, dst []byte) error // waits for the runs before it
	Free()
}

// Executable is a program ready to run.
type Executable interface {
	Run(ctx context.Context) error // enqueues; may return before it is done
	Free()
}

// Limits are the facts of a device that planning depends on.
type Limits struct {
	BufferBytes int64 // largest buffer; 0: no limit
	ValueBytes  int64 // largest value that a kernel can bind; 0: no limit
	TotalBytes  int64 // memory of the device, 0 if unknown
	FreeBytes   int64 // of it, what nobody has at present; 0 if unknown
	Host        bool  // it is the host's: what lies in either is as near
	Units       int   // processors that share the work of an op, each with a part of its own: what a batch should fill; 0: few, or unknown
	F16, BF16   bool  // element types that may be stored
	World       int   // devices that take part in AllReduce
	InPlace     bool  // a norm may write over what it reads
}

// Clearer is a side interface of a Buffer that makes bytes zero without zeros from the
// host, in the order of the calls.
type Clearer interface {
	Clear(ctx context.Context, off, n int64) error
}

// Later is a side interface of a Buffer of a device that runs beside the host: it reads
// what a few runs have left without waiting for them.
type Later interface {
	// ReadLater starts a copy of n bytes from off on, after the runs before it. What it
	// returns waits for that, and gives the bytes; it is called once.
	ReadLater(ctx context.Context, off int64, n int) (func(context.Context) ([]byte, error), error)
}

// Profiler is a side interface of an Executable that can time its nodes.
type Profiler interface {
	// Profile runs the program once and returns the seconds of each node.
	Profile(ctx context.Context) ([]float64, error)
}
