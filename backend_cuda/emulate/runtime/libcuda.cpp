// A libcuda whose GPU is emulate.h: the part of the driver's interface that the
// backend calls, for tests. It is stricter than a driver where a driver lets mistakes
// pass: work waits in its stream until somebody waits for it, copies go through pinned
// memory only, every call wants the context of its thread, and memory is NaN until it
// is written. What a graph leaves open is done in another order by every launch: streams
// that were captured beside the first do their work as late as others let them, or as
// early as they can.
//
// An image is a text: the path of a kernel's library, then its constants.
#include "emulate.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dlfcn.h>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

typedef int Result;
#define API extern "C" __attribute__((visibility("default"))) Result

namespace {

enum {
    Success = 0, InvalidValue = 1, OutOfMemory = 2, NoDevice = 100, InvalidDevice = 101, InvalidImage = 200,
    InvalidContext = 201, InvalidHandle = 400, NotFound = 500, IllegalAddress = 700, CaptureUnsupported = 900,
    CaptureInvalidated = 901, CaptureUnjoined = 904,
};

typedef std::function<Result()> Work;

// Work of a graph, and what must be done before it. The lane is that of its stream, 0 of
// the first.
struct Node {
    Work work;
    std::vector<int> after;
    int lane;
};

struct Graph {
    std::vector<Node> nodes;
    std::vector<int> orders[2];
    long launches = 0;

    // An order of the nodes in which other lanes than the first are late, or early.
    std::vector<int> order(bool early) const {
        std::vector<int> list;
        std::vector<bool> done(nodes.size());
        while (list.size() < nodes.size()) {
            int best = -1;
            for (int i = 0; i < int(nodes.size()); i++) {
                bool ready = !done[i];
                for (int j : nodes[i].after) {
                    ready = ready && done[j];
                }
                if (ready && (best < 0 || (early ? nodes[i].lane > nodes[best].lane : nodes[i].lane < nodes[best].lane))) {
                    best = i;
                }
            }
            done[best] = true;
            list.push_back(best);
        }
        return list;
    }

    // Whether the last nodes wait for all others.
    bool joined(std::vector<int> last) const {
        std::vector<bool> seen(nodes.size());
        size_t n = 0;
        while (!last.empty()) {
            int i = last.back();
            last.pop_back();
            if (!seen[i]) {
                seen[i] = true;
                n++;
                last.insert(last.end(), nodes[i].after.begin(), nodes[i].after.end());
            }
        }
        return n == nodes.size();
    }
};

struct Stream;

// Streams that are captured together, the first of which began.
struct Capture {
    std::vector<Stream *> streams;
    Graph graph;
    bool broken = false, over = false;
};

struct Stream {
    std::deque<Work> works;
    Capture *capture = nullptr;
    int lane = 0;
    std::vector<int> last; // of the capture: what the next work waits for
};

struct Function {
    const emulate_image *image;
    std::vector<unsigned> constants;
    std::string name;
    unsigned dynamic = 48 << 10; // shared memory that a launch may ask for
};

struct Event {
    Stream *stream = nullptr;
    bool done = true;
    double ms = 0;
    Capture *capture = nullptr; // in which it was recorded, after these nodes
    std::vector<int> after;
};

// The GPU. emulated_set changes it.
struct {
    long devices = 1, arch = 90, pools = 1, memory = 1l << 30;
    long driver = 13000;
    long forget = 0; // the wait for an event that does not wait, counted from 1 on
    long skip = 0;
    long time = 0; // nanoseconds of a kernel for each byte of its dynamic shared memory
} gpu;

double now; // of events, in ms

std::recursive_mutex mutex;
std::map<uintptr_t, size_t> blocks, hosts; // device memory and pinned memory
size_t used;
std::map<std::string, long> calls;
int primary, injected, lost; // injected: what a work of a stream answers, after gpu.skip others
unsigned launches;
thread_local void *current;

#define ENTER(name)                                                                                \
    std::lock_guard<std::recursive_mutex> guard(mutex);                                            \
    calls[name]++;                                                                                 \
    if (current != &primary) return InvalidContext;                                                \
    if (lost) return lost

bool within(const std::map<uintptr_t, size_t> &of, uintptr_t p, size_t n) {
    auto it = of.upper_bound(p);
    return it != of.begin() && (--it, p + n <= it->first + it->second);
}

size_t whole(size_t n) { return (n + 255) / 256 * 256; }

// Runs what a stream has.
Result drain(Stream *s) {
    while (!s->works.empty() && !lost) {
        Work w = std::move(s->works.front());
        s->works.pop_front();
        Result rc = w();
        if (injected && gpu.skip-- == 0) {
            rc = std::exchange(injected, 0);
        }
        lost = rc;
    }
    if (lost) {
        s->works.clear();
    }
    return lost;
}

// Puts work into a stream, or into the graph that it captures.
Result put(Stream *s, Work w) {
    if (!s) {
        return InvalidHandle; // the backend has no use for the default stream
    }
    if (s->capture) {
        auto &nodes = s->capture->graph.nodes;
        nodes.push_back({std::move(w), s->last, s->lane});
        s->last = {int(nodes.size()) - 1};
        return Success;
    }
    s->works.push_back(std::move(w));
    return Success;
}

// What a captured stream cannot do ends its capture.
Result forbid(Stream *s) {
    if (s && s->capture) {
        s->capture->broken = true;
        return CaptureUnsupported;
    }
    return Success;
}

Result copy(Stream *s, void *to, const void *from, size_t n) {
    return put(s, [=] {
        memcpy(to, from, n);
        return Success;
    });
}

} // namespace

// ---- for tests: what the GPU is like, what happens to it, what was called
extern "C" __attribute__((visibility("default"))) void emulated_set(const char *what, long value) {
    std::lock_guard<std::recursive_mutex> guard(mutex);
    std::string w = what;
    (w == "devices" ? gpu.devices : w == "arch" ? gpu.arch : w == "pools" ? gpu.pools : w == "time" ? gpu.time : w == "forget" ? gpu.forget : w == "driver" ? gpu.driver : gpu.memory) = value;
}
// Puts a function into a stream, which the GPU's other streams do not wait for. What it
// has is given back when neither a stream nor a graph has it any more.
extern "C" __attribute__((visibility("default"))) int emulated_put(Stream *s, int (*f)(void *), void *with, void (*done)(void *)) {
    std::lock_guard<std::recursive_mutex> guard(mutex);
    std::shared_ptr<void> own(with, done);
    return put(s, [=] {
        mutex.unlock();
        int rc = f(own.get());
        mutex.lock();
        return rc;
    });
}
extern "C" __attribute__((visibility("default"))) void emulated_inject(int rc, long skip) {
    std::lock_guard<std::recursive_mutex> guard(mutex);
    injected = rc;
    gpu.skip = skip;
}
extern "C" __attribute__((visibility("default"))) long emulated_calls(const char *name) {
    std::lock_guard<std::recursive_mutex> guard(mutex);
    return calls[name];
}

// ---- devices and their context
API cuInit(unsigned) { return Success; }
API cuDriverGetVersion(int *v) { return *v = int(gpu.driver), Success; }
API cuGetErrorString(Result rc, const char **text) {
    static const std::map<Result, const char *> texts = {
        {InvalidValue, "invalid argument"}, {OutOfMemory, "out of memory"}, {NoDevice, "no device"},
        {InvalidDevice, "invalid device"}, {InvalidImage, "invalid image"}, {InvalidContext, "invalid context"},
        {InvalidHandle, "invalid handle"}, {NotFound, "not found"}, {IllegalAddress, "an illegal memory access was encountered"},
        {CaptureUnsupported, "not permitted when stream is capturing"}, {CaptureInvalidated, "capture was invalidated"},
        {CaptureUnjoined, "capture was not joined to its first stream"},
    };
    auto it = texts.find(rc);
    *text = it == texts.end() ? nullptr : it->second;
    return *text ? Success : InvalidValue;
}
API cuDeviceGetCount(int *n) { return *n = int(gpu.devices), Success; }
API cuDeviceGet(int *d, int i) { return *d = i, i < gpu.devices ? Success : InvalidDevice; }
API cuDeviceGetName(char *b, int n, int) { return snprintf(b, size_t(n), "emulated"), Success; }
API cuDeviceTotalMem_v2(size_t *n, int) { return *n = size_t(gpu.memory), Success; }
API cuDeviceGetAttribute(int *v, int a, int) {
    static const std::map<int, int> fixed = {{16, 4}, {97, 227 << 10}}; // multiprocessors, shared memory of a block
    auto it = fixed.find(a);
    *v = a == 75 ? int(gpu.arch / 10) : a == 76 ? int(gpu.arch % 10) : a == 115 ? int(gpu.pools) : it == fixed.end() ? 0 : it->second;
    return Success;
}
API cuDevicePrimaryCtxSetFlags_v2(int, unsigned) { return Success; }
API cuDevicePrimaryCtxRetain(void **c, int) {
    std::lock_guard<std::recursive_mutex> guard(mutex);
    calls["retained"]++;
    *c = &primary;
    return Success;
}
API cuDevicePrimaryCtxRelease_v2(int) {
    std::lock_guard<std::recursive_mutex> guard(mutex);
    if (--calls["retained"] == 0) { // the context ends, and what was lost with it
        lost = injected = 0;
        for (auto b : blocks) {
            emulate_free((void *)b.first);
        }
        blocks.clear();
        used = 0;
    }
    return Success;
}
API cuCtxSetCurrent(void *c) { return current = c, Success; }

// ---- memory
API cuMemGetInfo_v2(size_t *left, size_t *total) {
    ENTER("cuMemGetInfo");
    *total = size_t(gpu.memory);
    *left = *total - used;
    return Success;
}
API cuMemAllocAsync(uintptr_t *p, size_t n, Stream *s) {
    ENTER("cuMemAllocAsync");
    if (Result rc = forbid(s)) {
        return rc;
    }
    if (!n) {
        return InvalidValue;
    }
    if (used + whole(n) > size_t(gpu.memory)) {
        return OutOfMemory;
    }
    *p = (uintptr_t)emulate_alloc(whole(n), true);
    blocks[*p] = whole(n);
    used += whole(n);
    return Success;
}
API cuMemFreeAsync(uintptr_t p, Stream *s) {
    ENTER("cuMemFreeAsync");
    auto it = blocks.find(p);
    if (it == blocks.end()) {
        return InvalidValue;
    }
    used -= it->second;
    blocks.erase(it);
    return put(s, [p] {
        emulate_free((void *)p);
        return Success;
    });
}
API cuMemHostAlloc(void **p, size_t n, unsigned) {
    ENTER("cuMemHostAlloc");
    *p = aligned_alloc(4096, (n + 4095) / 4096 * 4096);
    hosts[(uintptr_t)*p] = n;
    return *p ? Success : OutOfMemory;
}
API cuMemFreeHost(void *p) {
    ENTER("cuMemFreeHost");
    if (!hosts.erase((uintptr_t)p)) {
        return InvalidValue;
    }
    free(p);
    return Success;
}
API cuMemcpyHtoDAsync_v2(uintptr_t to, const void *from, size_t n, Stream *s) {
    ENTER("cuMemcpyHtoDAsync");
    return within(blocks, to, n) && within(hosts, (uintptr_t)from, n) ? copy(s, (void *)to, from, n) : InvalidValue;
}
API cuMemcpyDtoHAsync_v2(void *to, uintptr_t from, size_t n, Stream *s) {
    ENTER("cuMemcpyDtoHAsync");
    return within(blocks, from, n) && within(hosts, (uintptr_t)to, n) ? copy(s, to, (void *)from, n) : InvalidValue;
}
API cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t n, Stream *s) {
    ENTER("cuMemcpyDtoDAsync");
    return within(blocks, to, n) && within(blocks, from, n) ? copy(s, (void *)to, (void *)from, n) : InvalidValue;
}
API cuMemsetD8Async(uintptr_t p, unsigned char v, size_t n, Stream *s) {
    ENTER("cuMemsetD8Async");
    return within(blocks, p, n) ? put(s, [=] {
        memset((void *)p, v, n);
        return Success;
    }) : InvalidValue;
}

// ---- kernels
API cuModuleLoadData(std::vector<Function *> **module, const char *text) {
    ENTER("cuModuleLoadData");
    std::istringstream in(text);
    std::string magic, path, name;
    if (!(in >> magic >> path >> name) || magic != "emulated") {
        return InvalidImage;
    }
    auto *f = new Function;
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); // stays open: functions of other modules share it
    f->image = library ? (const emulate_image *)dlsym(library, "emulated") : nullptr;
    f->name = name;
    for (unsigned c; in >> c;) {
        f->constants.push_back(c);
    }
    if (!f->image) {
        fprintf(stderr, "libcuda: %s\n", dlerror());
        return InvalidImage;
    }
    *module = new std::vector<Function *>{f};
    return Success;
}
API cuModuleUnload(std::vector<Function *> *module) {
    ENTER("cuModuleUnload");
    delete module->front();
    delete module;
    return Success;
}
API cuModuleGetFunction(Function **f, std::vector<Function *> *module, const char *name) {
    ENTER("cuModuleGetFunction");
    *f = module->front();
    return (*f)->name == name ? Success : NotFound;
}
API cuFuncGetAttribute(int *v, int a, Function *f) {
    ENTER("cuFuncGetAttribute");
    *v = a == 0 ? 1024 : a == 1 ? int(f->image->statics_end - f->image->statics) : 0;
    return a < 2 ? Success : InvalidValue;
}
API cuFuncSetAttribute(Function *f, int a, int v) {
    ENTER("cuFuncSetAttribute");
    if (a != 8 || v > 227 << 10) {
        return InvalidValue;
    }
    f->dynamic = unsigned(v);
    return Success;
}
API cuLaunchKernel(Function *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, Stream *s,
                   void **parameters, void **extra) {
    ENTER("cuLaunchKernel");
    if (extra || !gx || !gy || !gz || gx > 0x7fffffff || gy > 65535 || gz > 65535 || !bx || !by || !bz || bz > 64 ||
        uint64_t(bx) * by * bz > 1024 || shared > f->dynamic) {
        return InvalidValue;
    }
    std::vector<void *> pointers; // parameters are copied during the call
    for (unsigned i = 0; i < f->image->parameters; i++) {
        pointers.push_back(*(void **)parameters[i]);
    }
    std::vector<unsigned> dims = {gx, gy, gz, bx, by, bz, shared};
    return put(s, [=] {
        now += double(gpu.time) * shared * 1e-6;
        const char *wrong = emulate_launch(f->image, f->constants.data(), dims.data(), pointers.data(), launches++ % 8);
        if (wrong) {
            fprintf(stderr, "libcuda: kernel %s: %s\n", f->name.c_str(), wrong);
        }
        return wrong ? IllegalAddress : Success;
    });
}

// ---- streams, events and graphs
API cuStreamCreate(Stream **s, unsigned) {
    ENTER("cuStreamCreate");
    *s = new Stream;
    return Success;
}
API cuStreamDestroy_v2(Stream *s) {
    ENTER("cuStreamDestroy");
    Result rc = drain(s);
    delete s;
    return rc;
}
API cuStreamSynchronize(Stream *s) {
    ENTER("cuStreamSynchronize");
    Result rc = forbid(s);
    return rc ? rc : drain(s);
}
API cuStreamBeginCapture_v2(Stream *s, int) {
    ENTER("cuStreamBeginCapture");
    if (!s || s->capture) {
        return InvalidValue;
    }
    s->capture = new Capture; // stays, without its graph: events know it
    s->capture->streams = {s};
    s->lane = 0;
    s->last.clear();
    return Success;
}
API cuStreamEndCapture(Stream *s, Graph **g) {
    ENTER("cuStreamEndCapture");
    *g = nullptr;
    Capture *c = s->capture;
    if (!c || c->streams.front() != s) {
        return InvalidValue;
    }
    c->over = true;
    for (Stream *one : c->streams) {
        one->capture = nullptr;
    }
    Graph made = std::move(c->graph);
    if (c->broken) {
        return CaptureInvalidated;
    }
    if (!made.joined(s->last)) {
        return CaptureUnjoined;
    }
    *g = new Graph(std::move(made));
    return Success;
}
API cuStreamWaitEvent(Stream *s, Event *e, unsigned) {
    ENTER("cuStreamWaitEvent");
    Capture *c = e->capture;
    if (!c || c->over || (s->capture && s->capture != c)) {
        return InvalidValue; // the backend has no use for waits outside of a capture
    }
    if (!s->capture) {
        s->capture = c;
        s->lane = int(c->streams.size());
        s->last.clear();
        c->streams.push_back(s);
    }
    if (gpu.forget && --gpu.forget == 0) {
        return Success;
    }
    s->last.insert(s->last.end(), e->after.begin(), e->after.end());
    return Success;
}
API cuGraphInstantiateWithFlags(Graph **x, Graph *g, unsigned long long) {
    ENTER("cuGraphInstantiate");
    *x = new Graph(*g);
    for (int early : {0, 1}) {
        (*x)->orders[early] = g->order(early);
    }
    return Success;
}
API cuGraphUpload(Graph *, Stream *s) {
    ENTER("cuGraphUpload");
    return forbid(s);
}
API cuGraphLaunch(Graph *x, Stream *s) {
    ENTER("cuGraphLaunch");
    for (int i : x->orders[x->launches++ % 2]) {
        put(s, x->nodes[i].work);
    }
    return Success;
}
API cuGraphDestroy(Graph *g) {
    ENTER("cuGraphDestroy");
    delete g;
    return Success;
}
API cuGraphExecDestroy(Graph *g) { return cuGraphDestroy(g); }
API cuEventCreate(Event **e, unsigned) {
    ENTER("cuEventCreate");
    *e = new Event;
    return Success;
}
API cuEventDestroy_v2(Event *e) {
    ENTER("cuEventDestroy");
    delete e;
    return Success;
}
API cuEventRecord(Event *e, Stream *s) {
    ENTER("cuEventRecord");
    e->capture = s->capture;
    if (s->capture) {
        e->after = s->last;
        return Success;
    }
    e->stream = s;
    e->done = false;
    return put(s, [e] {
        e->ms = now++; // a millisecond between events, and what kernels take
        e->done = true;
        return Success;
    });
}
API cuEventSynchronize(Event *e) {
    ENTER("cuEventSynchronize");
    return e->done ? Success : drain(e->stream);
}
API cuEventElapsedTime(float *ms, Event *a, Event *b) {
    ENTER("cuEventElapsedTime");
    *ms = float(b->ms - a->ms);
    return a->done && b->done ? Success : InvalidValue;
}
