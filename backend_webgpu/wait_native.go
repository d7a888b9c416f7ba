//go:build !js && cgo

package webgpu

/*
#cgo linux windows LDFLAGS: -static-libstdc++
#include <stdlib.h>
#include "guard_native.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/cogentcore/webgpu/wgpu"

	"github.com/gounet/gounet/core/backend"
)

// guarded is what has become of a call that may panic. A device whose call did is
// gone, or as good as gone: it is not called again, and what it holds stays so.
func (g *native) guarded(call string, panicked C.int) error {
	if panicked != 0 {
		g.lost = fmt.Errorf("%w: the library gave up in %s, and says why on standard error", backend.ErrLost, call)
	}
	return g.lost
}

// poll has the library look what is done, call back, free what is not needed, and
// tell what it has no memory for.
func (g *native) poll() error {
	if g.lost != nil {
		return g.lost
	}
	var failed C.gounet_error
	if err := g.guarded("Poll", C.gounet_poll(handle(g.device), &failed)); err != nil {
		return err
	}
	if failed.kind != 0 {
		return noMemory(told(errors.New(C.GoString(&failed.text[0]))))
	}
	return nil
}

// noDisplay tells drivers, not the processes that this one starts, that there is no
// display where there is none.
func noDisplay() { C.gounet_no_display() }

// begin prepares the device for poll.
func (g *native) begin() error { return g.guarded("PushErrorScope", C.gounet_open(handle(g.device))) }

// dismiss releases the device, for whose work the library waits.
func (g *native) dismiss() {
	_ = g.guarded("Release", C.gounet_release(handle(g.device))) // nobody calls it again
}

// flag is set by C when something is done. The library's own calls hand C the
// address of a Go variable that the collector may free; here the callback writes to
// C's memory.
type flag struct{ status *C.int32_t }

func newFlag() (flag, error) {
	f := flag{(*C.int32_t)(C.calloc(1, 4))}
	if f.status == nil {
		return f, errors.New("no memory for a flag")
	}
	return f, nil
}

// await returns the status that the callback was given, and frees the flag; or the
// error of ctx or of the device, and leaves the flag to the callback.
func (g *native) await(ctx context.Context, f flag) (int, error) {
	const shortest, longest = 20 * time.Microsecond, time.Millisecond
	for pause := shortest; C.gounet_status(f.status) == 0; pause = min(2*pause, longest) {
		if err := g.poll(); err != nil { // without waiting: that gives up after five seconds, and says nothing
			return 0, err
		}
		if C.gounet_status(f.status) != 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		time.Sleep(pause)
	}
	status := int(C.gounet_status(f.status)) - 1
	C.free(unsafe.Pointer(f.status))
	return status, nil
}

// handle is the C object inside one of the library's.
func handle(v any) unsafe.Pointer {
	return reflect.ValueOf(v).Elem().FieldByName("ref").UnsafePointer()
}

// mapped maps the first bytes of b, and waits for them. They are gone when it is
// unmapped.
func (g *native) mapped(ctx context.Context, b *wgpu.Buffer, bytes uint64) ([]byte, error) {
	f, err := newFlag()
	if err != nil {
		return nil, err
	}
	if err := g.guarded("MapAsync", C.gounet_map(handle(b), C.uint32_t(wgpu.MapModeRead), C.size_t(bytes), f.status)); err != nil {
		return nil, err
	}
	status, err := g.await(ctx, f)
	if err != nil {
		return nil, err
	}
	switch s := wgpu.BufferMapAsyncStatus(status); s {
	case wgpu.BufferMapAsyncStatusSuccess:
	case wgpu.BufferMapAsyncStatusDeviceLost:
		return nil, fmt.Errorf("%w: mapping a buffer", backend.ErrLost)
	default:
		return nil, fmt.Errorf("mapping a buffer: %v", s)
	}
	var at unsafe.Pointer
	if err := g.guarded("GetMappedRange", C.gounet_mapped(handle(b), C.size_t(bytes), &at)); err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(at), bytes), nil
}

// hand hands commands to the queue.
func (g *native) hand(c *wgpu.CommandBuffer) error {
	return g.guarded("Submit", C.gounet_submit(handle(g.queue), handle(c)))
}

// nativeMark is a place in the queue.
type nativeMark struct {
	*native
	flag flag
}

func (g *native) mark() (submitted, error) {
	f, err := newFlag()
	if err != nil {
		return nil, err
	}
	if err := g.guarded("OnSubmittedWorkDone", C.gounet_mark(handle(g.queue), f.status)); err != nil {
		return nil, err
	}
	return nativeMark{g, f}, nil
}

func (m nativeMark) wait(ctx context.Context) error {
	status, err := m.await(ctx, m.flag)
	if err != nil {
		return err
	}
	switch s := wgpu.QueueWorkDoneStatus(status); s {
	case wgpu.QueueWorkDoneStatusSuccess:
		return nil
	case wgpu.QueueWorkDoneStatusDeviceLost:
		return fmt.Errorf("%w: during a run", backend.ErrLost)
	default:
		return fmt.Errorf("the queue says %v", s)
	}
}
