//go:build !js && cgo

package webgpu

/*
#include <stdint.h>
#include <stdlib.h>
#include <stddef.h>

// Weak: cgo links this package by itself once, without the library that the
// wgpu package brings to the program.
extern void wgpuBufferMapAsync(void* buffer, uint32_t mode, size_t offset, size_t size, void (*done)(int32_t, void*), void* flag) __attribute__((weak));
extern void wgpuQueueOnSubmittedWorkDone(void* queue, void (*done)(int32_t, void*), void* flag) __attribute__((weak));

static void gounet_done(int32_t status, void* flag) { __atomic_store_n((int32_t*)flag, status + 1, __ATOMIC_SEQ_CST); }

static void gounet_map(void* buffer, uint32_t mode, size_t size, int32_t* flag) {
	wgpuBufferMapAsync(buffer, mode, 0, size, gounet_done, flag);
}

static void gounet_mark(void* queue, int32_t* flag) { wgpuQueueOnSubmittedWorkDone(queue, gounet_done, flag); }

static int32_t gounet_status(int32_t* flag) { return __atomic_load_n(flag, __ATOMIC_SEQ_CST); }
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

// wait returns the status that the callback was given, and frees the flag; or the
// error of ctx, and leaves the flag to the callback.
func (f flag) wait(ctx context.Context, d *wgpu.Device) (int, error) {
	const shortest, longest = 20 * time.Microsecond, time.Millisecond
	for pause := shortest; C.gounet_status(f.status) == 0; pause = min(2*pause, longest) {
		d.Poll(false, nil) // Poll(true) gives up after five seconds, and says nothing
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

// mapRead maps the first bytes of b for reading and waits.
func mapRead(ctx context.Context, d *wgpu.Device, b *wgpu.Buffer, bytes uint64) error {
	f, err := newFlag()
	if err != nil {
		return err
	}
	C.gounet_map(handle(b), C.uint32_t(wgpu.MapModeRead), C.size_t(bytes), f.status)
	status, err := f.wait(ctx, d)
	if err != nil {
		return err
	}
	switch s := wgpu.BufferMapAsyncStatus(status); s {
	case wgpu.BufferMapAsyncStatusSuccess:
		return nil
	case wgpu.BufferMapAsyncStatusDeviceLost:
		return fmt.Errorf("%w: mapping a buffer", backend.ErrLost)
	default:
		return fmt.Errorf("mapping a buffer: %v", s)
	}
}

// nativeMark is a place in the queue.
type nativeMark struct {
	flag
	device *wgpu.Device
}

func (g *native) mark() (submitted, error) {
	f, err := newFlag()
	if err != nil {
		return nil, err
	}
	C.gounet_mark(handle(g.queue), f.status)
	return nativeMark{f, g.device}, nil
}

func (m nativeMark) wait(ctx context.Context) error {
	status, err := m.flag.wait(ctx, m.device)
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
