//go:build !js && cgo

// The library is written in Rust. Where a call cannot give an error it panics: in a
// submit or a poll when the GPU is gone. The stack above has frames of Go, which a
// panic cannot pass, so that it ends the process. It is caught here, before.
//
// What it says has been written to standard error. From then on Rust counts the thread
// as one that panics, and frees less on it. What the device held is not freed either.
#include "guard_native.h"

#include <stdlib.h>
#include <string.h>

// Of the C++ ABI: what a thread has caught, whose first member is the exception that
// is being handled.
extern "C" void **__cxa_get_globals() noexcept;

// Weak: cgo links this package by itself once, without the library that the wgpu
// package brings to the program.
extern "C" {
uint64_t wgpuQueueSubmitForIndex(void *queue, size_t count, void *const *commands) __attribute__((weak));
uint32_t wgpuDevicePoll(void *device, uint32_t wait, const void *index) __attribute__((weak));
void wgpuBufferMapAsync(void *buffer, uint32_t mode, size_t offset, size_t size, void (*done)(int32_t, void *), void *data) __attribute__((weak));
void *wgpuBufferGetMappedRange(void *buffer, size_t offset, size_t size) __attribute__((weak));
void wgpuQueueOnSubmittedWorkDone(void *queue, void (*done)(int32_t, void *), void *data) __attribute__((weak));
void wgpuDevicePushErrorScope(void *device, int32_t kind) __attribute__((weak));
void wgpuDevicePopErrorScope(void *device, void (*failed)(int32_t, const char *, void *), void *data) __attribute__((weak));
void wgpuDeviceRelease(void *device) __attribute__((weak));
}

template <typename Call>
static int guarded(Call call) {
	try {
		call();
		return 0;
	} catch (...) {
		*__cxa_get_globals() = nullptr; // forgotten: Rust ends the process when others delete a panic
		return 1;
	}
}

// Mesa's layer that sorts GPUs asks Wayland which one draws, and Wayland complains on
// standard error where it is not told where to look. Then it looks where nothing is.
void gounet_no_display() {
#ifdef __linux__
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 0);
#endif
}

static void set(int32_t status, void *done) {
	__atomic_store_n(static_cast<int32_t *>(done), status + 1, __ATOMIC_SEQ_CST);
}

int32_t gounet_status(int32_t *done) { return __atomic_load_n(done, __ATOMIC_SEQ_CST); }

int gounet_submit(void *queue, void *commands) {
	return guarded([=] { wgpuQueueSubmitForIndex(queue, 1, &commands); });
}

// The wgpu package has scopes for errors of validation only. One for those of memory
// lies below them, and is looked into when the library is polled.
const int32_t out_of_memory = 1; // WGPUErrorFilter_OutOfMemory

int gounet_open(void *device) {
	return guarded([=] { wgpuDevicePushErrorScope(device, out_of_memory); });
}

static void failed(int32_t kind, const char *text, void *data) {
	auto e = static_cast<gounet_error *>(data);
	if (kind != 0) {
		e->kind = kind;
		strncpy(e->text, text, sizeof e->text - 1);
	}
}

int gounet_poll(void *device, gounet_error *to) {
	return guarded([=] {
		wgpuDevicePoll(device, 0, nullptr);
		wgpuDevicePopErrorScope(device, failed, to);
		wgpuDevicePushErrorScope(device, out_of_memory);
	});
}

int gounet_map(void *buffer, uint32_t mode, size_t size, int32_t *done) {
	return guarded([=] { wgpuBufferMapAsync(buffer, mode, 0, size, set, done); });
}

int gounet_mapped(void *buffer, size_t size, void **bytes) {
	return guarded([=] { *bytes = wgpuBufferGetMappedRange(buffer, 0, size); });
}

int gounet_mark(void *queue, int32_t *done) {
	return guarded([=] { wgpuQueueOnSubmittedWorkDone(queue, set, done); });
}

int gounet_release(void *device) {
	return guarded([=] { wgpuDeviceRelease(device); });
}
