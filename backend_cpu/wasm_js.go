package cpu

import (
	"context"
	"errors"
	"fmt"
	"syscall/js"

	"github.com/gounet/gounet/backend_cpu/wasm"
	"github.com/gounet/gounet/core/backend"
)

// Under GOOS=js a device has kernels of its own: WebAssembly modules that
// Compile generates, with the shapes of the program in them. Package wasm writes
// bytes, package kernel the functions of ops.
//
//   - Values live in a WebAssembly.Memory of the device, not in Go's, which no
//     thread could share. Write and Read copy at the door.
//   - Threads are workers on that memory, from a Blob, or worker_threads under
//     node. They sleep inside WebAssembly. A page with a Content-Security-Policy
//     has to allow wasm-unsafe-eval, and blob: as a worker-src. Memory can be shared only in a page
//     that is cross-origin isolated, and the thread of a page may not sleep:
//     elsewhere there is one thread, the one that Go runs on, and Name says so.
//   - Prediction runs on kernels: convolutions, norms, sums and means, tiles,
//     labels. What remains, training and 16-bit storage, runs on the plain Go of
//     this package, on copies of a node's operands: right, not fast.
//   - A device has the same bits for any number of threads. Multiply-adds that
//     round once, where the browser has them, give other bits than those without.
//   - Run calls WebAssembly for tens of milliseconds at a time, and then lets
//     the events of the page in: a cancelled context is seen there. Compile waits
//     for the browser: neither may be called by a callback of JavaScript, but by a
//     goroutine that it starts.

// The names of the instruction sets: with multiply-adds that round once where
// the machine has them, and without.
const (
	isaWasmFused = "wasm-fma"
	isaWasm      = "wasm"
)

// wasmISAs are the instruction sets of kernels that this host can run.
func wasmISAs() []string {
	m := &wasm.Module{}
	v := wasm.ZeroV()
	m.Func("", 0).Drop(wasm.MaddV(v, v, v))
	code := m.Bytes()
	view := js.Global().Get("Uint8Array").New(len(code))
	js.CopyBytesToJS(view, code)
	if js.Global().Get("WebAssembly").Call("validate", view).Bool() {
		return []string{isaWasmFused, isaWasm}
	}
	return []string{isaWasm}
}

// wasmDevice is the processor as a browser shows it.
type wasmDevice struct {
	isa    string
	plain  *device  // for ops without a kernel
	memory js.Value // WebAssembly.Memory
	space  *wasm.Space
	slots  *wasm.Space // of the table
	crew   *crew
}

// Addresses of the memory: the first page has the control block and is no
// value's, so that a tile may begin a few voxels before its row.
const (
	ctlAt     = 1024
	firstByte = wasm.PageBytes
	alignment = 256
	// behind is what a value has behind it, where vectors of its last row read.
	behind = 64
)

// openWasm opens the device, or is nil if other kernels are asked for. It starts
// nothing: threads begin with the first Compile.
func openWasm(o Options) backend.Device {
	names := wasmISAs()
	isa := names[0]
	for _, name := range append(names, plainGo.name) {
		if name == o.ISA {
			isa = name
		}
	}
	if isa == plainGo.name {
		return nil
	}
	threads, shared := hostThreads()
	if o.Workers > 0 && shared {
		threads = o.Workers
	}
	return newWasmDevice(o, isa, threads, shared)
}

// newWasmDevice has a memory as large as the browser allows. Only a shared one
// serves more than one thread.
func newWasmDevice(o Options, isa string, threads int, shared bool) *wasmDevice {
	d := &wasmDevice{isa: isa}
	pages := wasm.MaxPages
	for {
		err := attempt(func() {
			d.memory = js.Global().Get("WebAssembly").Get("Memory").New(map[string]any{
				"initial": firstByte / wasm.PageBytes, "maximum": pages, "shared": shared,
			})
		})
		if err == nil {
			break
		}
		if pages /= 2; pages < 1024 { // 64 MiB hold no network
			panic(err)
		}
	}
	o.Workers = 1
	d.plain = newDevice(o, &plainGo)
	d.space = wasm.NewSpace(firstByte, int64(pages)*wasm.PageBytes-behind)
	d.slots = wasm.NewSpace(0, 1<<20)
	d.crew = newCrew(d.memory, shared, threads)
	return d
}

func (d *wasmDevice) Name() string {
	return fmt.Sprintf("cpu (%s, %d workers)", d.isa, d.crew.threads)
}

// Limits are what 32 bits address, without what the device keeps for itself.
func (d *wasmDevice) Limits() backend.Limits {
	most := d.space.Limit - firstByte
	return backend.Limits{BufferBytes: most, ValueBytes: most, TotalBytes: most, World: d.plain.world}
}

// errClosed is what runs after Close return.
var errClosed = errors.New("cpu: the device is closed")

// Close ends the threads. Buffers stay readable.
func (d *wasmDevice) Close() error {
	d.crew.close(errClosed)
	return d.plain.Close()
}

// take reserves memory, which is zero.
func (d *wasmDevice) take(bytes int64) (int64, error) {
	n := extent(bytes)
	at, fresh, ok := d.space.Take(n)
	if !ok {
		return 0, fmt.Errorf("cpu: %w: a buffer of %d MiB, but of the %d MiB that WebAssembly addresses %d MiB are free behind the others: choose a smaller patch or batch",
			backend.ErrMemory, bytes>>20, d.space.Limit>>20, (d.space.Limit-d.space.Top())>>20)
	}
	have := int64(d.memory.Get("buffer").Get("byteLength").Int())
	if need := at + n + behind - have; need > 0 {
		err := attempt(func() { d.memory.Call("grow", int((need+wasm.PageBytes-1)/wasm.PageBytes)) })
		if err != nil {
			d.space.Give(at, n)
			return 0, fmt.Errorf("cpu: %w: a buffer of %d MiB beside %d MiB of others: the browser has not so much (%w): choose a smaller patch or batch",
				backend.ErrMemory, bytes>>20, have>>20, err)
		}
	}
	if fresh > at {
		d.view(at, min(fresh, at+n)-at).Call("fill", 0)
	}
	return at, nil
}

func (d *wasmDevice) give(at, bytes int64) { d.space.Give(at, extent(bytes)) }

// extent is what bytes take with the space behind them.
func extent(bytes int64) int64 {
	return (bytes + behind + alignment - 1) / alignment * alignment
}

// view is memory as JavaScript sees it, until the memory grows.
func (d *wasmDevice) view(at, n int64) js.Value {
	return js.Global().Get("Uint8Array").New(d.memory.Get("buffer"), at, n)
}

func (d *wasmDevice) write(at int64, src []byte) {
	if len(src) > 0 {
		js.CopyBytesToJS(d.view(at, int64(len(src))), src)
	}
}

func (d *wasmDevice) read(at int64, dst []byte) {
	if len(dst) > 0 {
		js.CopyBytesToGo(dst, d.view(at, int64(len(dst))))
	}
}

// NewBuffer returns zeroed memory.
func (d *wasmDevice) NewBuffer(bytes int64) (backend.Buffer, error) {
	if bytes < 0 || bytes > d.space.Limit {
		return nil, fmt.Errorf("cpu: %w: a buffer of %d bytes, WebAssembly addresses %d", backend.ErrMemory, bytes, d.space.Limit)
	}
	at, err := d.take(bytes)
	if err != nil {
		return nil, err
	}
	return &wasmBuffer{dev: d, at: at, size: bytes}, nil
}

// wasmBuffer is a range of the device's memory.
type wasmBuffer struct {
	dev      *wasmDevice
	at, size int64
	writes   int // counts what may have changed it
	freed    bool
}

// Write copies src to off.
func (b *wasmBuffer) Write(ctx context.Context, off int64, src []byte) error {
	if err := b.check(ctx, "write", off, len(src)); err != nil {
		return err
	}
	b.writes++
	b.dev.write(b.at+off, src)
	return nil
}

// Read copies from off to dst.
func (b *wasmBuffer) Read(ctx context.Context, off int64, dst []byte) error {
	if err := b.check(ctx, "read", off, len(dst)); err != nil {
		return err
	}
	b.dev.read(b.at+off, dst)
	return nil
}

func (b *wasmBuffer) check(ctx context.Context, what string, off int64, n int) error {
	if off < 0 || off > b.size || int64(n) > b.size-off {
		return fmt.Errorf("cpu: %s of %d bytes at %d of a buffer of %d bytes", what, n, off, b.size)
	}
	return ctx.Err()
}

// Free gives the memory back.
func (b *wasmBuffer) Free() {
	if !b.freed {
		b.dev.give(b.at, b.size)
	}
	b.size, b.freed = 0, true
}

// hostThreads is how many threads may compute, and whether memory can be shared
// with them: in a page only if it is cross-origin isolated, and not on its main
// thread, which may not wait.
func hostThreads() (n int, shared bool) {
	g := js.Global()
	if node() {
		return max(1, g.Get("require").Invoke("os").Call("cpus").Length()), true
	}
	if !g.Get("crossOriginIsolated").Truthy() || !g.Get("document").IsUndefined() {
		return 1, false
	}
	return max(1, g.Get("navigator").Get("hardwareConcurrency").Int()), true
}

// node tells whether the host is node.
func node() bool {
	p := js.Global().Get("process")
	return p.Type() == js.TypeObject && p.Get("versions").Type() == js.TypeObject &&
		p.Get("versions").Get("node").Truthy() && js.Global().Get("require").Truthy()
}

// attempt turns what JavaScript throws in f into an error.
func attempt(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case js.Error:
			err = r
		default:
			panic(r)
		}
	}()
	f()
	return nil
}
