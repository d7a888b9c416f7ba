//go:build !js && cgo

package webgpu

/*
#include <stdint.h>
#include <stdlib.h>
#include <stddef.h>

// Weak: cgo links this package by itself once, without the library that the
// wgpu package brings to the program.
extern void wgpuBufferMapAsync(void* buffer, uint32_t mode, size_t offset, size_t size, void (*done)(int32_t, void*), void* flag) __attribute__((weak));

static void gounet_mapped(int32_t status, void* flag) { __atomic_store_n((int32_t*)flag, status + 1, __ATOMIC_SEQ_CST); }

static void gounet_map(void* buffer, uint32_t mode, size_t size, int32_t* flag) {
	wgpuBufferMapAsync(buffer, mode, 0, size, gounet_mapped, flag);
}

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

// mapRead maps the first bytes of b for reading and waits. The library's own
// MapAsync hands C the address of a Go variable that the collector may free; here
// the callback sets a flag in C's memory, which is left to it when ctx ends first.
func mapRead(ctx context.Context, d *wgpu.Device, b *wgpu.Buffer, bytes uint64) error {
	flag := (*C.int32_t)(C.calloc(1, 4))
	if flag == nil {
		return errors.New("no memory for a flag")
	}
	handle := reflect.ValueOf(b).Elem().FieldByName("ref").UnsafePointer()
	C.gounet_map(handle, C.uint32_t(wgpu.MapModeRead), C.size_t(bytes), flag)
	const shortest, longest = 20 * time.Microsecond, time.Millisecond
	for pause := shortest; C.gounet_status(flag) == 0; pause = min(2*pause, longest) {
		d.Poll(false, nil) // Poll(true) gives up after five seconds, and says nothing
		if C.gounet_status(flag) != 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		time.Sleep(pause)
	}
	status := wgpu.BufferMapAsyncStatus(C.gounet_status(flag) - 1)
	C.free(unsafe.Pointer(flag))
	switch status {
	case wgpu.BufferMapAsyncStatusSuccess:
		return nil
	case wgpu.BufferMapAsyncStatusDeviceLost:
		return fmt.Errorf("%w: mapping a buffer", backend.ErrLost)
	}
	return fmt.Errorf("mapping a buffer: %v", status)
}
