//go:build cuda && linux

package cuda

import (
	"bytes"
	"context"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"
)

// Pinned memory for what is read late: a few numbers each, of a few runs.
const (
	lateSlots = 16
	lateBytes = 64
)

// late is a slot of it.
type late struct {
	held bool
	done cu.Event // of the copy
}

// ReadLater starts a copy to pinned memory in the order of the calls. What is large, or
// more than there are slots for, is read at once.
func (b *buffer) ReadLater(ctx context.Context, off int64, n int) (func(context.Context) ([]byte, error), error) {
	if err := b.check("read", off, n); err != nil {
		return nil, err
	}
	d := b.dev
	slot, err := d.stage.slot(n)
	if err != nil {
		return nil, err
	}
	if slot < 0 {
		got := make([]byte, n)
		err := b.Read(ctx, off, got)
		return func(context.Context) ([]byte, error) { return got, nil }, err
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer runtime.UnlockOSThread()
	to := d.stage.lateOut[slot*lateBytes:][:n]
	if err := d.told("read", cu.MemcpyDtoHAsync(unsafe.Pointer(&to[0]), b.m+cu.DevicePtr(off), int64(n), d.stream)); err != nil {
		return nil, err
	}
	done, err := d.mark()
	if err != nil {
		return nil, err
	}
	d.stage.late[slot] = late{held: true, done: done}
	runs := d.landed + len(d.flights) // that the copy comes after
	return func(ctx context.Context) ([]byte, error) {
		if err := d.enter(); err != nil {
			return nil, err
		}
		defer runtime.UnlockOSThread()
		for d.landed < runs {
			if err := d.land(ctx, len(d.flights)-1); err != nil {
				return nil, err
			}
		}
		d.stage.late[slot].held = false
		if err := d.wait(done, "read"); err != nil {
			return nil, err
		}
		return bytes.Clone(to), nil
	}, nil
}

// slot is one that is free for n bytes, or −1.
func (s *stage) slot(n int) (int, error) {
	if n < 1 || n > lateBytes {
		return -1, nil
	}
	if s.lateOut == nil {
		if err := s.device.enter(); err != nil {
			return 0, err
		}
		defer runtime.UnlockOSThread()
		out, err := s.device.pinned(lateSlots * lateBytes)
		if err != nil {
			return 0, err
		}
		s.lateOut, s.late = out, make([]late, lateSlots)
	}
	for i, l := range s.late {
		if !l.held {
			return i, nil
		}
	}
	return -1, nil
}
