// Calls of the library that panic when the GPU is gone: 0, or 1 where one has.
// Panics are described in guard_native.cc.
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// What no error of a call has told: its kind, 0 for nothing, and its text.
typedef struct {
	int32_t kind;
	char text[1024];
} gounet_error;

// Tells the drivers of a process without a display that it has none.
void gounet_no_display(void);

int gounet_open(void *device);
int gounet_poll(void *device, gounet_error *failed);
int gounet_submit(void *queue, void *commands);
int gounet_map(void *buffer, uint32_t mode, size_t size, int32_t *done);
int gounet_mapped(void *buffer, size_t size, void **bytes);
int gounet_mark(void *queue, int32_t *done);
int gounet_release(void *device);

// The status of a call that done was given to, and 1 more; 0 until it is known.
int32_t gounet_status(int32_t *done);

#ifdef __cplusplus
}
#endif
