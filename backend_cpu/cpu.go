// Package cpu runs programs on the processor: vector kernels, generated for
// AVX2 and AVX-512 by gen, with plain Go beside them, and a pool of workers.
//
// An op is cut into units of work that depend on its shapes alone, and partial
// sums are added in the order of the units: results have the same bits for any
// number of workers. All memory is reserved by Compile; Run allocates nothing.
//
// In a browser Compile makes kernels of WebAssembly SIMD instead, for memory of
// their own, which worker threads share: wasm_js.go.
package cpu

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"unsafe"

	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/internal/machine"
)

// Options choose what a device may use.
type Options struct {
	Workers int    // goroutines that compute; 0: GOMAXPROCS
	ISA     string // one of ISAs; "", or what the processor lacks: the fastest it has
	// World is the number of devices that take part in AllReduce; 0 and 1: this
	// one alone. With more, Reduce replaces each slice by its sum over all of them.
	World  int
	Reduce func(ctx context.Context, values [][]float32) error
}

// ISAs lists the instruction sets that this processor can run, fastest first.
func ISAs() []string {
	names := wasmISAs()
	for _, s := range isas() {
		names = append(names, s.name)
	}
	return names
}

// device is the processor.
type device struct {
	isa    *isa
	flat   *flat
	pool   *pool
	world  int
	reduce func(context.Context, [][]float32) error
	live   int64 // bytes of the buffers that are not freed
}

// Open starts the workers of a device; Close ends them.
func Open(o Options) backend.Device {
	if d := openWasm(o); d != nil {
		return d
	}
	list := isas()
	best := list[0]
	for _, s := range list {
		if s.name == o.ISA {
			best = s
		}
	}
	return newDevice(o, best)
}

// newDevice is the processor with the kernels of s.
func newDevice(o Options, s *isa) *device {
	if o.Workers < 1 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return &device{isa: s, flat: flatOf(s), pool: newPool(o.Workers), world: max(1, o.World), reduce: o.Reduce}
}

func (d *device) Name() string {
	return fmt.Sprintf("cpu (%s, %d workers)", d.isa.name, len(d.pool.workers))
}

func (d *device) Limits() backend.Limits {
	return backend.Limits{TotalBytes: memory().Total, Host: true, F16: true, BF16: true, World: d.world}
}

// Close ends the workers. Buffers stay readable.
func (d *device) Close() error {
	d.pool.close()
	return nil
}

// memory is that of the machine; that of WebAssembly is what 32 bits address.
func memory() machine.Memory {
	m := machine.MainMemory()
	if runtime.GOARCH == "wasm" && m.Total == 0 {
		m.Total = 4 << 30
	}
	return m
}

// spare is what a buffer is longer, so that it can begin on a cache line.
const spare = 64

// NewBuffer returns zeroed memory that begins on a cache line, or an error if
// the machine has not as much.
func (d *device) NewBuffer(bytes int64) (backend.Buffer, error) {
	if bytes < 0 {
		return nil, fmt.Errorf("cpu: a buffer of %d bytes", bytes)
	}
	if err := d.room(bytes); err != nil {
		return nil, err
	}
	b := make([]byte, bytes+spare)
	skip := int64(-uintptr(unsafe.Pointer(&b[0])) % spare)
	d.live += bytes
	return &buffer{dev: d, data: b[skip : skip+bytes : skip+bytes]}, nil
}

// small is what is not worth asking the system for.
const small = 16 << 20

// room returns an error if the machine cannot give as many bytes. What the
// garbage collector holds is given back first.
func (d *device) room(bytes int64) error {
	if bytes <= small {
		return nil
	}
	m := memory()
	if m.Available > 0 && bytes > m.Available {
		debug.FreeOSMemory()
		m = memory()
	}
	switch {
	case m.Available > 0 && bytes > m.Available:
		return fmt.Errorf("cpu: %w: a buffer of %d MiB, but %d MiB are available: choose a smaller patch or batch, or f16 storage",
			backend.ErrMemory, bytes>>20, m.Available>>20)
	case m.Total > 0 && bytes > m.Total-d.live:
		return fmt.Errorf("cpu: %w: a buffer of %d MiB beside %d MiB of others, but the machine has %d MiB: choose a smaller patch or batch, or f16 storage",
			backend.ErrMemory, bytes>>20, d.live>>20, m.Total>>20)
	case bytes > most:
		return fmt.Errorf("cpu: a buffer of %d MiB, but %d MiB is the largest", bytes>>20, int64(most)>>20)
	}
	return nil
}

// most keeps sizes below what Go can address where memory is not known.
const most = 1 << 40

// buffer is memory of the process.
type buffer struct {
	dev  *device
	data []byte
}

// Write copies src to off.
func (b *buffer) Write(ctx context.Context, off int64, src []byte) error {
	if err := b.check(ctx, "write", off, len(src)); err != nil {
		return err
	}
	copy(b.data[off:], src)
	return nil
}

// Read copies from off to dst.
func (b *buffer) Read(ctx context.Context, off int64, dst []byte) error {
	if err := b.check(ctx, "read", off, len(dst)); err != nil {
		return err
	}
	copy(dst, b.data[off:])
	return nil
}

// Clear makes n bytes zero.
func (b *buffer) Clear(ctx context.Context, off, n int64) error {
	if n < 0 || n > int64(len(b.data)) {
		return fmt.Errorf("cpu: %d bytes cleared of a buffer of %d", n, len(b.data))
	}
	if err := b.check(ctx, "clear", off, int(n)); err != nil {
		return err
	}
	clear(b.data[off : off+n])
	return nil
}

func (b *buffer) check(ctx context.Context, what string, off int64, n int) error {
	if off < 0 || off > int64(len(b.data)) || int64(n) > int64(len(b.data))-off {
		return fmt.Errorf("cpu: %s of %d bytes at %d of a buffer of %d bytes", what, n, off, len(b.data))
	}
	return ctx.Err()
}

// Free gives the memory back.
func (b *buffer) Free() {
	b.dev.live -= int64(len(b.data))
	b.data = nil
}
