// emulate: runs CUDA C++ kernels on a CPU, for tests without a GPU.
//
// Every thread of a block is a fiber; blocks follow each other. A fiber runs until
// it waits for others (a barrier, a collective of its warp), so that what is not
// waited for is not there: shared memory begins as NaN, cp.async writes at its
// wait, memory of arguments ends at a page that cannot be touched. A seed shuffles
// the order of warps, lets half of them pause at a time, reverses lanes and blocks:
// run several, 0 alone hides races between warps.
//
// What runs is a program that waits where the hardware would have to. It says
// nothing of time, of bank conflicts, of memory order beyond barriers, nor of
// whether the hardware agrees with the instructions as they are written down here.
//
// This is the interface of the runtime, emulate.cpp, for kernels and for hosts.
#pragma once

struct uint3 {
    unsigned x, y, z;
};
typedef uint3 dim3;

#pragma GCC visibility push(default)
extern "C" {

// What the thread at hand sees.
struct emulate_view {
    uint3 thread, block;
    dim3 threads, blocks;
    unsigned char *shared;
    unsigned shared_bytes;
    unsigned rank; // of the thread in its block
};
extern emulate_view *emulate_now;

// Ends the launch with an error. Does not return.
[[noreturn]] void emulate_fail(const char *what);

// Waits until count threads of the block have come, all of them where it is 0.
void emulate_barrier(unsigned count);

// Waits until the lanes of mask (of a warp; width 128: of a warp group) have come,
// then operate runs once: arguments[lane] is what each has brought, or null.
typedef void (*emulate_operation)(void **arguments);
void emulate_collective(emulate_operation operate, void *argument, unsigned mask, unsigned width);

// cp.async of size bytes, those from n on zero; commit and wait as in PTX.
void emulate_copy(void *to, const void *from, unsigned size, unsigned n);
void emulate_commit();
void emulate_wait(unsigned pending);

// ldmatrix x4 of 16-bit elements: the thread names a row of 16 bytes.
void emulate_matrices(unsigned r[4], const void *row, bool transposed);

// mma.sync: d [16 8] += a · b [k 8], m16n8k16 of halves or m16n8k8 of tf32. Products
// are exact, sums are of f32.
enum emulate_type { emulate_f16, emulate_bf16, emulate_tf32 };
void emulate_multiply(float d[4], const unsigned a[4], unsigned b0, unsigned b1, emulate_type type);

// wgmma of a group of four warps: d [64 n] += a [64 16] · b [n 16], behind descriptors of
// core matrices in dynamic shared memory without swizzle. Products are made when they are
// waited for; what they read must be there, behind a fence and a barrier, when they begin,
// and be the same then.
void emulate_group_fence();
// transposed: both operands lie with rows side by side, eight of the depth in a core matrix.
void emulate_group(float *d, unsigned n, unsigned long a, unsigned long b, emulate_type type, bool transposed);
void emulate_group_commit();
void emulate_group_wait(unsigned pending);

// fence.proxy.async: what the thread has written may be read by wgmma.
void emulate_fence();

// Memory of the device, between pages that cannot be touched: it ends at one, or
// begins at one. Filled with NaN.
void *emulate_alloc(unsigned long bytes, bool ends);
void emulate_free(void *memory);

// Runs a kernel, as its image exports it. dims: grid, block, bytes of dynamic
// shared memory. arguments are device pointers. Returns null, or what went wrong,
// until the next launch. One launch runs at a time, whoever calls.
typedef void (*emulate_entry)(void *const *arguments);
struct emulate_image {
    emulate_entry entry;
    void (*constants)(const unsigned *values); // in the order of the prelude
    unsigned char *statics, *statics_end;      // __shared__ variables
    unsigned parameters;                       // of the kernel
};
const char *emulate_launch(const emulate_image *image, const unsigned *constants, const unsigned dims[7],
                           void *const *arguments, unsigned seed);
}
#pragma GCC visibility pop
