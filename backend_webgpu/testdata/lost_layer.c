// A layer of Vulkan that takes the GPU away: while GOUNET_GPU_LOST is set, waits say
// VK_ERROR_DEVICE_LOST, and submits too where it is "submit". What a GPU that is gone
// still held is thrown away, and the driver below has to be done with it by then.
//
//	cc -shared -fPIC -o liblost_layer.so lost_layer.c
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// What is needed of vulkan_core.h and vk_layer.h.
#define LOST (-4)
#define INSTANCE_LINK 47 // VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO
#define DEVICE_LINK 48   // VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO

typedef void (*Function)(void);
typedef Function (*Get)(void *object, const char *name);

typedef struct Link {
	struct Link *next;
	Get instance, device;
} Link;

typedef struct Info {
	int type;
	struct Info *next;
	int what; // 0: link
	Link *link;
} Info;

static Get next_instance, next_device;
static int (*queue_idle)(void *), (*device_idle)(void *);

static Link *follow(Info *i, int type) {
	while (i && !(i->type == type && i->what == 0)) i = i->next;
	if (!i) return NULL;
	Link *l = i->link;
	i->link = l->next;
	return l;
}

static int create_instance(Info *info, void *memory, void **instance) {
	Link *l = follow(info->next, INSTANCE_LINK);
	if (!l) return -3;
	next_instance = l->instance;
	int (*create)(Info *, void *, void **) = (void *)l->instance(NULL, "vkCreateInstance");
	return create(info, memory, instance);
}

static int create_device(void *adapter, Info *info, void *memory, void **device) {
	Link *l = follow(info->next, DEVICE_LINK);
	if (!l) return -3;
	next_device = l->device;
	int (*create)(void *, Info *, void *, void **) = (void *)l->instance(NULL, "vkCreateDevice");
	int failed = create(adapter, info, memory, device);
	if (failed) return failed;
	queue_idle = (void *)l->device(*device, "vkQueueWaitIdle");
	device_idle = (void *)l->device(*device, "vkDeviceWaitIdle");
	return 0;
}

static int lost(const char *by) {
	const char *s = getenv("GOUNET_GPU_LOST");
	return s && (!by || !strcmp(s, by));
}

static int (*submit_)(void *, uint32_t, const void *, uint64_t);
static int submit(void *queue, uint32_t count, const void *list, uint64_t fence) {
	if (!lost("submit")) return submit_(queue, count, list, fence);
	queue_idle(queue);
	return LOST;
}

static int gone(void *device) {
	if (!lost(NULL)) return 0;
	device_idle(device);
	return 1;
}

static int (*counter_)(void *, uint64_t, uint64_t *);
static int counter(void *device, uint64_t semaphore, uint64_t *value) {
	return gone(device) ? LOST : counter_(device, semaphore, value);
}

static int (*status_)(void *, uint64_t);
static int status(void *device, uint64_t fence) { return gone(device) ? LOST : status_(device, fence); }

static int (*wait_)(void *, const void *, uint64_t);
static int wait(void *device, const void *info, uint64_t timeout) {
	return gone(device) ? LOST : wait_(device, info, timeout);
}

static int (*fences_)(void *, uint32_t, const uint64_t *, uint32_t, uint64_t);
static int fences(void *device, uint32_t count, const uint64_t *list, uint32_t all, uint64_t timeout) {
	return gone(device) ? LOST : fences_(device, count, list, all, timeout);
}

static const struct {
	const char *name;
	Function own;
	void *next;
} list[] = {
	{"vkQueueSubmit", (Function)submit, &submit_},
	{"vkGetSemaphoreCounterValue", (Function)counter, &counter_},
	{"vkGetSemaphoreCounterValueKHR", (Function)counter, &counter_},
	{"vkWaitSemaphores", (Function)wait, &wait_},
	{"vkWaitSemaphoresKHR", (Function)wait, &wait_},
	{"vkGetFenceStatus", (Function)status, &status_},
	{"vkWaitForFences", (Function)fences, &fences_},
};

Function vkGetDeviceProcAddr(void *device, const char *name) {
	if (!strcmp(name, "vkGetDeviceProcAddr")) return (Function)vkGetDeviceProcAddr;
	Function f = next_device(device, name);
	for (size_t i = 0; f && i < sizeof list / sizeof *list; i++) {
		if (!strcmp(name, list[i].name)) {
			memcpy(list[i].next, &f, sizeof f);
			return list[i].own;
		}
	}
	return f;
}

Function vkGetInstanceProcAddr(void *instance, const char *name) {
	if (!strcmp(name, "vkGetInstanceProcAddr")) return (Function)vkGetInstanceProcAddr;
	if (!strcmp(name, "vkGetDeviceProcAddr")) return (Function)vkGetDeviceProcAddr;
	if (!strcmp(name, "vkCreateInstance")) return (Function)create_instance;
	if (!strcmp(name, "vkCreateDevice")) return (Function)create_device;
	return next_instance ? next_instance(instance, name) : NULL;
}
