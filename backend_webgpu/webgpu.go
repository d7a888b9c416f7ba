// Package webgpu runs programs on WebGPU: natively on Vulkan, Metal and DX12,
// and in a browser. All kernels are WGSL files of package shaders.
//
// Compile makes the pipelines and bind groups of every node; Run hands the list
// to the queue. Nothing is decided in between, so that a run allocates nothing
// on the device. Memory is bound for reading and writing throughout: operands of
// one kernel lie in one arena, and WebGPU lets a buffer have one use at a time.
package webgpu

import (
	"context"
	"fmt"
	"time"

	"github.com/gounet/gounet/core/backend"
)

// Options choose an adapter.
type Options struct {
	// Software allows adapters that are no real GPU: lavapipe, SwiftShader.
	Software bool
	// Promised opens the device with the limits that every WebGPU device has, not
	// with those of the adapter: what runs then fits any.
	Promised bool
}

// device is a WebGPU device and the pipelines that were compiled for it.
type device struct {
	gpu       gpu
	facts     facts
	pipelines map[string]*kept // by their WGSL
	simple    bool             // without the kernels that work in blocks
	staged    bool             // weights lie in workgroup memory: software has none that is faster
	f16       bool             // kernels use shader-f16
	pace      pace
	flights   []flight  // submits that may not be done, the oldest first
	landed    time.Time // when the last of the others was
	unsent    int64     // bytes that were written since the queue was last waited for
}

// Open opens the first adapter that fits, a real GPU before a software one, or
// says why there is none.
func Open(o Options) (backend.Device, error) {
	g, err := openGPU(o)
	if err != nil {
		return nil, fmt.Errorf("webgpu: %w", err)
	}
	d := &device{gpu: g, facts: g.facts(), pipelines: map[string]*kept{}, pace: newPace()}
	d.staged = !d.facts.software
	if d.facts.bindings < mostBindings {
		g.close()
		return nil, fmt.Errorf("webgpu: %s binds %d storage buffers in a kernel, wanted %d: choose another device", d.facts.name, d.facts.bindings, mostBindings)
	}
	if d.f16, err = d.probeHalves(context.Background()); err != nil {
		g.close()
		return nil, fmt.Errorf("webgpu: shader-f16: %w", err)
	}
	return d, nil
}

// mostBindings is the largest number of buffers that a kernel binds; WebGPU
// promises 8.
const mostBindings = 8

func (d *device) Name() string { return "webgpu (" + d.facts.name + ")" }

func (d *device) Limits() backend.Limits {
	return backend.Limits{BufferBytes: d.facts.bufferBytes / 256 * 256, ValueBytes: d.facts.bindingBytes, F16: true, World: 1}
}

func (d *device) Close() error {
	for _, p := range d.pipelines {
		p.release()
	}
	d.pipelines = nil
	d.gpu.close()
	return nil
}

// NewBuffer returns zeroed memory.
func (d *device) NewBuffer(bytes int64) (backend.Buffer, error) {
	if bytes < 0 || bytes > d.facts.bufferBytes {
		return nil, fmt.Errorf("webgpu: a buffer of %d bytes, the largest of %s has %d: choose a smaller patch or batch", bytes, d.facts.name, d.facts.bufferBytes)
	}
	whole := max(roundUp(bytes, 4), 4)
	m, err := d.gpu.buffer(whole)
	if err != nil {
		return nil, fmt.Errorf("webgpu: a buffer of %d bytes: %w", bytes, err)
	}
	return &buffer{dev: d, m: m, bytes: bytes}, nil
}

// buffer is memory of the device.
type buffer struct {
	dev   *device
	m     memory // nil when freed
	bytes int64
}

// piece is how much is handed to the queue at once: it keeps a copy until it is
// done.
const piece = 16 << 20

// Write copies src to off. Words that src fills in part are read first.
func (b *buffer) Write(ctx context.Context, off int64, src []byte) error {
	if err := b.check("write", off, len(src)); err != nil {
		return err
	}
	if len(src) == 0 {
		return nil
	}
	if from, to := off/4*4, roundUp(off+int64(len(src)), 4); from != off || to-from != int64(len(src)) {
		whole := make([]byte, to-from)
		if err := b.readWords(ctx, from, whole); err != nil {
			return err
		}
		copy(whole[off-from:], src)
		off, src = from, whole
	}
	for len(src) > 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("webgpu: write: %w", err)
		}
		n := min(len(src), piece)
		if err := b.dev.write(ctx, b.m, off, src[:n]); err != nil {
			return fmt.Errorf("webgpu: write of %d bytes: %w", n, err)
		}
		off, src = off+int64(n), src[n:]
	}
	return nil
}

// mostUnsent is how much may wait in the queue to be copied.
const mostUnsent = 4 * piece

// write hands src to the queue, and waits for it when it has much to copy.
func (d *device) write(ctx context.Context, m memory, off int64, src []byte) error {
	if err := d.gpu.write(m, off, src); err != nil {
		return err
	}
	if d.unsent += int64(len(src)); d.unsent < mostUnsent {
		return nil
	}
	d.unsent = 0
	s, err := d.gpu.mark()
	if err != nil {
		return err
	}
	return s.wait(ctx)
}

// Read waits for the runs before it and copies from off to dst.
func (b *buffer) Read(ctx context.Context, off int64, dst []byte) error {
	if err := b.check("read", off, len(dst)); err != nil {
		return err
	}
	if len(dst) == 0 {
		return nil
	}
	from, to := off/4*4, roundUp(off+int64(len(dst)), 4)
	if from == off && to-from == int64(len(dst)) {
		return b.readWords(ctx, from, dst)
	}
	whole := make([]byte, to-from)
	if err := b.readWords(ctx, from, whole); err != nil {
		return err
	}
	copy(dst, whole[off-from:])
	return nil
}

// readWords reads whole words piece by piece, after the runs.
func (b *buffer) readWords(ctx context.Context, off int64, dst []byte) error {
	if err := b.dev.land(ctx, 0); err != nil {
		return err
	}
	for len(dst) > 0 {
		n := min(len(dst), piece)
		if err := b.dev.gpu.read(ctx, b.m, off, dst[:n]); err != nil {
			return fmt.Errorf("webgpu: read of %d bytes: %w", n, err)
		}
		off, dst = off+int64(n), dst[n:]
	}
	return nil
}

func (b *buffer) check(what string, off int64, n int) error {
	if b.m == nil {
		return fmt.Errorf("webgpu: %s of a buffer that was freed", what)
	}
	if off < 0 || off > b.bytes || int64(n) > b.bytes-off {
		return fmt.Errorf("webgpu: %s of %d bytes at %d of a buffer of %d bytes", what, n, off, b.bytes)
	}
	return nil
}

// Free gives the memory back.
func (b *buffer) Free() {
	if b.m != nil {
		b.m.release()
		b.m = nil
	}
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
