//go:build cuda && linux

package cuda

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"gorgonia.org/cu"

	"github.com/gounet/gounet/core/backend"
)

// memory takes zeroed memory from the pool of the GPU, in the order of the stream.
func (d *device) memory(bytes int64) (cu.DevicePtr, error) {
	var p uintptr
	rc := d.driver.allocate(&p, uintptr(bytes), streamOf(d.stream))
	if rc == outOfMemory {
		free, total, err := cu.MemInfo()
		if err != nil {
			return 0, d.told("its memory", err)
		}
		return 0, fmt.Errorf("cuda: %s: %d MiB are wanted, %d of its %d MiB are free: choose a smaller patch or batch, or end what else runs on it: %w",
			d.facts.name, bytes>>20, free>>20, total>>20, d.driver.error(rc))
	}
	if err := d.told("memory", d.driver.error(rc)); err != nil {
		return 0, err
	}
	m := cu.DevicePtr(p)
	if err := cu.MemsetD8Async(m, 0, bytes, d.stream); err != nil {
		return 0, errors.Join(d.told("zeros", err), d.free(m))
	}
	return m, nil
}

// free gives memory back when what was started before is done.
func (d *device) free(m cu.DevicePtr) error {
	return d.told("free", d.driver.error(d.driver.free(m.Uintptr(), streamOf(d.stream))))
}

// NewBuffer returns zeroed memory.
func (d *device) NewBuffer(bytes int64) (backend.Buffer, error) {
	if bytes < 0 || bytes > d.facts.bytes {
		return nil, fmt.Errorf("cuda: a buffer of %d bytes, %s has %d: choose a smaller patch or batch", bytes, d.facts.name, d.facts.bytes)
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer runtime.UnlockOSThread()
	m, err := d.memory(max(bytes, 1))
	if err != nil {
		return nil, err
	}
	return &buffer{dev: d, m: m, bytes: bytes}, nil
}

// buffer is memory of a GPU.
type buffer struct {
	dev   *device
	m     cu.DevicePtr // 0 when freed
	bytes int64
}

// Write copies src to off, in the order of the calls; it returns when src is in
// pinned memory.
func (b *buffer) Write(ctx context.Context, off int64, src []byte) error {
	if err := b.check("write", off, len(src)); err != nil {
		return err
	}
	if err := b.dev.enter(); err != nil {
		return err
	}
	defer runtime.UnlockOSThread()
	return b.dev.stage.write(ctx, b.m+cu.DevicePtr(off), src)
}

// Read waits for the runs before it and copies from off to dst.
func (b *buffer) Read(ctx context.Context, off int64, dst []byte) error {
	if err := b.check("read", off, len(dst)); err != nil {
		return err
	}
	if err := b.dev.enter(); err != nil {
		return err
	}
	defer runtime.UnlockOSThread()
	if err := b.dev.land(ctx, 0); err != nil {
		return err
	}
	return b.dev.stage.read(ctx, dst, b.m+cu.DevicePtr(off))
}

// Clear makes n bytes zero, in the order of the calls.
func (b *buffer) Clear(ctx context.Context, off, n int64) error {
	if n < 0 || n > b.bytes {
		return fmt.Errorf("cuda: %d bytes cleared of a buffer of %d", n, b.bytes)
	}
	if err := b.check("clear", off, int(n)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cuda: clear: %w", err)
	}
	if n == 0 {
		return nil
	}
	if err := b.dev.enter(); err != nil {
		return err
	}
	defer runtime.UnlockOSThread()
	return b.dev.told("zeros", cu.MemsetD8Async(b.m+cu.DevicePtr(off), 0, n, b.dev.stream))
}

func (b *buffer) check(what string, off int64, n int) error {
	if b.m == 0 {
		return fmt.Errorf("cuda: %s of a buffer that was freed", what)
	}
	if off < 0 || off > b.bytes || int64(n) > b.bytes-off {
		return fmt.Errorf("cuda: %s of %d bytes at %d of a buffer of %d bytes", what, n, off, b.bytes)
	}
	return nil
}

// Free gives the memory back.
func (b *buffer) Free() {
	if b.m == 0 {
		return
	}
	if b.dev.reach() == nil {
		_ = b.dev.free(b.m) // a device that is lost or closed has nothing to give back
		runtime.UnlockOSThread()
	}
	b.m = 0
}
