// device: what shaders/device.cuh is to NVRTC, for g++ on the runtime of emulate.h.
// Kernels and the prelude are the same. Their constants are variables here, set
// before each launch, so that one image serves all shapes; see Build in build.go.
#pragma once
#include "emulate.h"

typedef unsigned long size_t;

#define KERNEL extern "C" __attribute__((visibility("hidden"))) void
#define DEVICE inline
#define UNROLL
#define SHARED(name) unsigned char *name = emulate_now->shared
#define __shared__ static __attribute__((section("emulate_shared")))
#define __restrict__
#define __launch_bounds__(...)
#define threadIdx (emulate_now->thread)
#define blockIdx (emulate_now->block)
#define blockDim (emulate_now->threads)
#define gridDim (emulate_now->blocks)
#define __threadfence_system()

typedef float f32;
typedef unsigned char u8;
struct f16 {
    unsigned short bits;
};
struct bf16 {
    unsigned short bits;
};

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
DEVICE uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
struct alignas(8) uint2 {
    unsigned x, y;
};
DEVICE uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
struct alignas(16) float4 {
    float x, y, z, w;
};

// ---- arithmetic
DEVICE float expf(float x) { return __builtin_expf(x); }
DEVICE float logf(float x) { return __builtin_logf(x); }
DEVICE float powf(float x, float y) { return __builtin_powf(x, y); }
DEVICE float sqrtf(float x) { return __builtin_sqrtf(x); }
DEVICE float fabsf(float x) { return __builtin_fabsf(x); }
DEVICE float floorf(float x) { return __builtin_floorf(x); }
DEVICE float fminf(float x, float y) { return __builtin_fminf(x, y); }
DEVICE float fmaxf(float x, float y) { return __builtin_fmaxf(x, y); }
DEVICE int min(int a, int b) { return a < b ? a : b; }
DEVICE int max(int a, int b) { return a > b ? a : b; }
DEVICE unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
DEVICE unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }

DEVICE unsigned bits_of(float v) {
    unsigned u;
    __builtin_memcpy(&u, &v, 4);
    return u;
}
DEVICE float float_from(unsigned u) {
    float v;
    __builtin_memcpy(&v, &u, 4);
    return v;
}
DEVICE float float_of(f16 v) {
    _Float16 h;
    __builtin_memcpy(&h, &v, 2);
    return (float)h;
}
DEVICE f16 f16_of(float v) {
    const _Float16 h = (_Float16)v;
    f16 r;
    __builtin_memcpy(&r, &h, 2);
    return r;
}
DEVICE float cos_turn(float t) { return (float)__builtin_cos(6.283185307179586 * (double)t); }
DEVICE void hold(unsigned &) {}
DEVICE unsigned high_word(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }

// ---- waiting
// No other thread runs between two barriers' worth of a fiber.
DEVICE unsigned atomicAdd(unsigned *to, unsigned v) {
    const unsigned before = *to;
    *to += v;
    return before;
}
DEVICE void __syncthreads() { emulate_barrier(0); }
DEVICE void __syncwarp() {
    emulate_collective([](void **) {}, nullptr, ~0u, 32);
}

struct emulate_shuffle {
    float v, r;
    int from;
};
DEVICE void emulate_shuffled(void **a) {
    for (int i = 0; i < 32; i++) {
        if (a[i]) {
            emulate_shuffle *s = (emulate_shuffle *)a[i], *o = (emulate_shuffle *)a[s->from & 31];
            s->r = o ? o->v : s->v;
        }
    }
}
DEVICE float __shfl_xor_sync(unsigned mask, float v, int by) {
    emulate_shuffle s = {v, v, (int)(emulate_now->rank & 31) ^ by};
    emulate_collective(emulate_shuffled, &s, mask, 32);
    return s.r;
}

// ---- tensor cores
DEVICE void copy16(void *to, const void *from, bool there) { emulate_copy(to, from, 16, there ? 16 : 0); }
DEVICE void copies_commit() { emulate_commit(); }
template <int PENDING> DEVICE void copies_wait() { emulate_wait(PENDING); }

DEVICE void emulate_load(unsigned (&r)[4], const void *row, bool transposed) {
    if ((unsigned long)row % 16 != 0) {
        emulate_fail("ldmatrix of a row that does not begin at a multiple of 16 bytes");
    }
    (void)*(volatile const char *)row; // a fault is this thread's
    (void)*((volatile const char *)row + 15);
    emulate_matrices(r, row, transposed);
}
DEVICE void load_matrices(unsigned (&r)[4], const void *row) { emulate_load(r, row, false); }
DEVICE void load_transposed(unsigned (&r)[4], const void *row) { emulate_load(r, row, true); }

DEVICE void multiply(f16, float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { emulate_multiply(d, a, b0, b1, emulate_f16); }
DEVICE void multiply(bf16, float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { emulate_multiply(d, a, b0, b1, emulate_bf16); }

// Ties go away from zero.
DEVICE unsigned eleven_bits(float v) { return (bits_of(v) + 0x1000u) & 0xffffe000u; }
DEVICE void multiply_eleven(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { emulate_multiply(d, a, b0, b1, emulate_tf32); }

// ---- Hopper's tensor cores. An address in shared memory is its distance from the first.
DEVICE unsigned shared_address(const void *p) { return (unsigned)((const unsigned char *)p - emulate_now->shared); }
DEVICE void matrices_fence() { emulate_fence(); }
DEVICE unsigned long long core_matrices(unsigned first, unsigned deep, unsigned next) {
    if ((first | deep | next) % 16 != 0) {
        emulate_fail("core matrices that do not lie at multiples of 16 bytes");
    }
    return first >> 4 | (unsigned long long)(deep >> 4) << 16 | (unsigned long long)(next >> 4) << 32;
}
DEVICE void group_fence() { emulate_group_fence(); }
DEVICE void group_commit() { emulate_group_commit(); }
template <int PENDING, int MT, int NT> DEVICE void group_wait(float (&)[MT][NT][4]) { emulate_group_wait(PENDING); }
template <int NT> DEVICE void multiply_group(f16, float (&d)[NT][4], unsigned long long a, unsigned long long b) {
    emulate_group(&d[0][0], NT * 8, a, b, emulate_f16, false);
}
template <int NT> DEVICE void multiply_group(bf16, float (&d)[NT][4], unsigned long long a, unsigned long long b) {
    emulate_group(&d[0][0], NT * 8, a, b, emulate_bf16, false);
}
DEVICE void multiply_transposed(f16, float (&d)[8][4], unsigned long long a, unsigned long long b) { emulate_group(&d[0][0], 64, a, b, emulate_f16, true); }
DEVICE void multiply_transposed(bf16, float (&d)[8][4], unsigned long long a, unsigned long long b) { emulate_group(&d[0][0], 64, a, b, emulate_bf16, true); }

// ---- the image
template <unsigned...> struct emulate_indices {};
template <class... A, unsigned... I>
DEVICE void emulate_call(void (*kernel)(A...), void *const *p, emulate_indices<I...>) {
    kernel((A)p[I]...);
}
template <class... A> DEVICE void emulate_call(void (*kernel)(A...), void *const *p) {
    emulate_call(kernel, p, emulate_indices<__integer_pack(sizeof...(A))...>());
}

template <class... A> constexpr unsigned emulate_parameters(void (*)(A...)) { return sizeof...(A); }

extern unsigned char __start_emulate_shared[] __attribute__((weak, visibility("hidden")));
extern unsigned char __stop_emulate_shared[] __attribute__((weak, visibility("hidden")));

// The last line of an image: its kernel, and the function that sets its constants.
#define EMULATED(kernel, set)                                                                                             \
    extern "C" __attribute__((visibility("default"))) const emulate_image emulated = {                                    \
        [](void *const *p) { emulate_call(kernel, p); }, set, __start_emulate_shared, __stop_emulate_shared,                  \
        emulate_parameters(kernel)};
