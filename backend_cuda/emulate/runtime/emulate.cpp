// The runtime of emulate.h: fibers, their schedule, and memory that faults. The
// instructions, instructions.cpp, follow in the same translation unit.
#include "emulate.h"

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <pthread.h>
#include <string>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

#if !defined(__x86_64__)
#error "emulate.cpp switches fibers of x86-64 only"
#endif

emulate_view *emulate_now;

// ---- switching: swaps stacks, and leaves it to the compiler what of its registers it needs
// again. In line and by a jump: a return to where nobody called from is one that a processor
// predicts wrongly. 128: bytes below a stack that a function may use.
#ifdef __AVX512F__
#define EMULATE_WIDE                                                                                                    \
    , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", \
        "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#else
#define EMULATE_WIDE
#endif
static inline __attribute__((always_inline)) void emulate_switch(void **save, void *load) {
    asm volatile("leaq -128(%%rsp), %%rsp\n\t"
                 "pushq %%rbp\n\t"
                 "leaq 1f(%%rip), %%rax\n\t"
                 "pushq %%rax\n\t"
                 "movq %%rsp, (%0)\n\t"
                 "movq %1, %%rsp\n\t"
                 "popq %%rax\n\t"
                 "jmp *%%rax\n"
                 "1:\tpopq %%rbp\n\t"
                 "leaq 128(%%rsp), %%rsp"
                 : "+D"(save), "+S"(load)
                 :
                 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc", "xmm0", "xmm1",
                   "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                   "xmm15" EMULATE_WIDE);
}

namespace {

enum State { Ready, AtCollective, AtBarrier, Ended };

struct Copy {
    void *to;
    const void *from;
    unsigned size, n, group;
};

// A product of a group of warps that is under way: its operands as they were, and where
// each lane has its sums.
struct Flight {
    emulate_type type;
    bool transposed;
    unsigned n, batch;
    unsigned long a, b;
    std::vector<uint16_t> before;
    float *d[128];
};

struct alignas(64) Fiber { // what every switch needs first, in two lines of a cache
    emulate_view view;
    void *stack; // where it goes on
    State state;
    emulate_operation operate;
    void *argument;
    unsigned mask, width, count; // of a collective; of a barrier
    std::vector<Copy> copies;
    unsigned committed; // groups of copies
    bool landed;        // copies, without a fence since
    std::vector<Flight> flights; // of the group whose first thread it is
    unsigned batches;            // that the group has committed
    bool fenced;                 // the group
};

constexpr size_t stackBytes = 64 << 10, page = 4096;

// A launch at hand. There is one at a time.
struct Launch {
    const emulate_image *image;
    const unsigned *constants, *dims;
    void *const *arguments;
    unsigned seed;
};

Launch launch;
std::vector<Fiber> fibers;
unsigned char *stacks;
size_t stackRoom; // fibers that stacks has room for
unsigned char *dynamicShared;
void *scheduler; // its stack
std::string failure;
bool failed;
bool unfenced; // copies that landed before the last barrier without a fence
uint32_t dice;

uint32_t roll() { return dice = dice * 1664525u + 1013904223u; }

Fiber &self() { return *reinterpret_cast<Fiber *>(emulate_now); }

inline __attribute__((always_inline)) void yield() { emulate_switch(&self().stack, scheduler); }

void begin() {
    launch.image->entry(launch.arguments);
    if (!self().copies.empty()) {
        emulate_fail("a thread ends with cp.async in flight");
    }
    if (!self().flights.empty()) {
        emulate_fail("a group ends with wgmma in flight");
    }
    self().state = Ended;
    for (;;) {
        yield();
    }
}

void prepare(Fiber &f, unsigned rank, uint3 block) {
    const unsigned *d = launch.dims;
    f.view = {{rank % d[3], rank / d[3] % d[4], rank / (d[3] * d[4])}, block, {d[3], d[4], d[5]}, {d[0], d[1], d[2]},
              dynamicShared, d[6], rank};
    f.state = Ready;
    f.copies.clear();
    f.committed = 0;
    f.flights.clear();
    f.batches = 0;
    f.landed = f.fenced = false;
    // Staggered tops: at one distance, stacks would share the sets of a cache.
    uintptr_t top = ((uintptr_t)stacks + (rank + 1) * stackBytes - rank % 61 * 256) & ~uintptr_t(15);
    void **s = (void **)top;
    *--s = nullptr; // the alignment that a call gives
    *--s = (void *)begin;
    f.stack = s;
}

// Says what goes wrong in the thread at hand, and goes back to the scheduler.
[[noreturn]] void stop(const std::string &what) {
    const emulate_view &v = *emulate_now;
    char at[160];
    snprintf(at, sizeof at, " (block %u,%u,%u thread %u,%u,%u)", v.block.x, v.block.y, v.block.z, v.thread.x, v.thread.y, v.thread.z);
    failure = what + at;
    failed = true;
    for (;;) {
        yield();
    }
}

// What the scheduler itself notices of a fiber.
bool wrong(Fiber &f, const char *what) {
    const emulate_view &v = f.view;
    char at[160];
    snprintf(at, sizeof at, " (block %u,%u,%u thread %u,%u,%u)", v.block.x, v.block.y, v.block.z, v.thread.x, v.thread.y, v.thread.z);
    failure = std::string(what) + at;
    failed = true;
    return false;
}

// Runs the ready lanes of a warp; says whether there were any.
bool runLanes(unsigned first, unsigned last) {
    bool any = false;
    for (unsigned i = first; i < last && !failed; i++) {
        Fiber &f = fibers[launch.seed & 1 ? first + last - 1 - i : i];
        if (f.state == Ready) {
            emulate_now = &f.view;
            emulate_switch(&scheduler, f.stack);
            any = true;
        }
    }
    return any;
}

// Runs a collective of fiber f if all that take part have come: lanes of size from
// first on.
bool meet(Fiber &f, unsigned first, unsigned size) {
    void *arguments[128] = {};
    for (unsigned k = 0; k < size; k++) {
        if (size == 32 && !(f.mask >> k & 1)) {
            continue;
        }
        if (first + k >= fibers.size() || fibers[first + k].state == Ended) {
            return wrong(f, "a collective waits for a thread that has ended");
        }
        Fiber &g = fibers[first + k];
        if (g.state != AtCollective) {
            return false;
        }
        if (g.operate != f.operate || g.width != f.width || g.mask != f.mask) {
            return wrong(f, "threads meet in different collectives");
        }
        arguments[k] = g.argument;
    }
    emulate_now = &f.view;
    f.operate(arguments);
    for (unsigned k = 0; k < size; k++) {
        if (size != 32 || f.mask >> k & 1) {
            fibers[first + k].state = Ready;
        }
    }
    return true;
}

bool meetings(unsigned first, unsigned last, unsigned width) {
    bool any = false;
    for (unsigned i = first; i < last && !failed; i++) {
        if (fibers[i].state == AtCollective && fibers[i].width == width) {
            any = meet(fibers[i], first, width) || any;
        }
    }
    return any;
}

// Opens the barrier if all have come.
bool openBarrier(bool &alive) {
    unsigned here = 0, live = 0, count = 0;
    Fiber *one = nullptr;
    for (Fiber &f : fibers) {
        live += f.state != Ended;
        if (f.state != AtBarrier) {
            continue;
        }
        if (one && f.count != count) {
            return wrong(f, "threads meet at a barrier with different counts");
        }
        one = &f;
        count = f.count;
        here++;
    }
    alive = live > 0;
    if (!one) {
        return false;
    }
    // The hardware counts threads that have ended as those that come; a kernel that
    // relies on it is not written so here.
    if (here == live && live < fibers.size() && count == 0) {
        return wrong(*one, "a barrier waits for threads that have ended");
    }
    if (here < (count ? count : fibers.size())) {
        return false;
    }
    unfenced = false;
    for (Fiber &f : fibers) {
        unfenced = unfenced || f.landed;
        if (f.state == AtBarrier) {
            f.state = Ready;
        }
    }
    return true;
}

void runBlock(uint3 block) {
    const unsigned n = unsigned(fibers.size()), warps = (n + 31) / 32;
    unfenced = false;
    memset(dynamicShared, 0xFF, launch.dims[6]);
    if (launch.image->statics) {
        memset(launch.image->statics, 0xFF, size_t(launch.image->statics_end - launch.image->statics));
    }
    for (unsigned i = 0; i < n; i++) {
        prepare(fibers[i], i, block);
    }
    std::vector<unsigned> order(warps);
    for (unsigned i = 0; i < warps; i++) {
        order[i] = i;
    }
    for (unsigned i = warps; launch.seed && i > 1; i--) {
        std::swap(order[i - 1], order[(roll() >> 8) % i]);
    }
    for (bool alive = true; alive && !failed;) {
        bool progress = false, paused = false;
        for (unsigned warp : order) {
            if (launch.seed && warps > 1 && roll() >> 31) {
                paused = true; // others run ahead
                continue;
            }
            const unsigned first = warp * 32, last = first + 32 < n ? first + 32 : n;
            while (!failed && (runLanes(first, last) | meetings(first, last, 32))) {
                progress = true;
            }
        }
        for (unsigned first = 0; first + 128 <= n; first += 128) {
            progress = meetings(first, first + 128, 128) || progress;
        }
        progress = openBarrier(alive) || progress;
        if (alive && !progress && !paused && !failed) {
            wrong(fibers[0], "every thread waits");
        }
    }
}

void runLaunch() {
    const unsigned *d = launch.dims;
    const unsigned n = d[3] * d[4] * d[5], blocks = d[0] * d[1] * d[2];
    if (n > stackRoom) {
        if (stacks) {
            munmap(stacks, stackRoom * stackBytes);
        }
        stacks = (unsigned char *)mmap(nullptr, n * stackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        stackRoom = n;
    }
    fibers.resize(n);
    dynamicShared = (unsigned char *)emulate_alloc((d[6] + 127) / 128 * 128, true);
    dice = launch.seed * 2654435761u + 12345u;
    failed = false;
    failure.clear();
    if (launch.image->constants) {
        launch.image->constants(launch.constants);
    }
    for (unsigned i = 0; i < blocks && !failed; i++) {
        const unsigned b = launch.seed ? blocks - 1 - i : i;
        runBlock({b % d[0], b / d[0] % d[1], b / (d[0] * d[1])});
    }
    emulate_now = nullptr;
    emulate_free(dynamicShared);
}

// ---- memory that faults
struct Room {
    unsigned char *base; // with the pages around it
    size_t bytes;
};
std::map<void *, Room> rooms;
std::mutex roomsLock;
struct sigaction before;

// A fault of a kernel becomes the error of its launch: the thread goes on where it
// stops. Others are of whoever was there before.
void onFault(int signal, siginfo_t *info, void *context) {
    if (emulate_now) {
        static char what[128];
        snprintf(what, sizeof what, "touches memory that is not its own, at %p", info->si_addr);
        ucontext_t *c = (ucontext_t *)context;
        c->uc_mcontext.gregs[REG_RDI] = (greg_t)what;
        c->uc_mcontext.gregs[REG_RIP] = (greg_t)emulate_fail;
        c->uc_mcontext.gregs[REG_RSP] = (c->uc_mcontext.gregs[REG_RSP] - 1024) & ~15ll;
        c->uc_mcontext.gregs[REG_RSP] -= 8;
        return;
    }
    if (before.sa_flags & SA_SIGINFO && before.sa_sigaction) {
        before.sa_sigaction(signal, info, context);
        return;
    }
    sigaction(signal, &before, nullptr);
}

// ---- the thread that runs launches, so that no stack of a caller's runtime is
// under a fiber
std::mutex callers;
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
bool wanted, started;

void *work(void *) {
    stack_t own = {};
    own.ss_size = 64 << 10;
    own.ss_sp = malloc(own.ss_size);
    sigaltstack(&own, nullptr);
    struct sigaction action = {};
    action.sa_sigaction = onFault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, &before);
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!wanted) {
            pthread_cond_wait(&changed, &lock);
        }
        runLaunch();
        wanted = false;
        pthread_cond_broadcast(&changed);
    }
}

void start() {
    sigset_t all, old;
    sigfillset(&all);
    for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
        sigdelset(&all, s);
    }
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_t t;
    pthread_create(&t, nullptr, work, nullptr);
    pthread_detach(t);
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    started = true;
}

} // namespace

void emulate_fail(const char *what) { stop(what); }

void emulate_barrier(unsigned count) {
    self().count = count;
    self().state = AtBarrier;
    yield();
}

static inline __attribute__((always_inline)) void collective(emulate_operation operate, void *argument, unsigned mask, unsigned width) {
    Fiber &f = self();
    if (width == 32 && !(mask >> (f.view.rank & 31) & 1)) {
        stop("a lane is not in its own mask");
    }
    f.operate = operate;
    f.argument = argument;
    f.mask = mask;
    f.width = width;
    f.state = AtCollective;
    yield();
}

void emulate_collective(emulate_operation operate, void *argument, unsigned mask, unsigned width) {
    collective(operate, argument, mask, width);
}

void *emulate_alloc(unsigned long bytes, bool ends) {
    const size_t body = (bytes + page) / page * page; // one page for none
    unsigned char *base = (unsigned char *)mmap(nullptr, body + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return nullptr;
    }
    mprotect(base, page, PROT_NONE);
    mprotect(base + page + body, page, PROT_NONE);
    memset(base + page, 0xFF, body);
    // Vectors of 16 bytes keep their alignment.
    unsigned char *p = base + page + (ends ? (body - bytes) / 16 * 16 : 0);
    std::lock_guard<std::mutex> hold(roomsLock);
    rooms[p] = {base, body + 2 * page};
    return p;
}

void emulate_free(void *memory) {
    std::lock_guard<std::mutex> hold(roomsLock);
    auto at = rooms.find(memory);
    if (at != rooms.end()) {
        munmap(at->second.base, at->second.bytes);
        rooms.erase(at);
    }
}

const char *emulate_launch(const emulate_image *image, const unsigned *constants, const unsigned dims[7],
                           void *const *arguments, unsigned seed) {
    std::lock_guard<std::mutex> one(callers);
    if (!started) {
        start();
    }
    pthread_mutex_lock(&lock);
    launch = {image, constants, dims, arguments, seed};
    wanted = true;
    pthread_cond_broadcast(&changed);
    while (wanted) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    static thread_local std::string last;
    last = failure;
    return failed ? last.c_str() : nullptr;
}
