// device: where kernels meet NVIDIA's hardware. NVRTC gets this file; the
// emulation has one of the same name, with the same functions. Nothing else is
// included, so that a machine needs no toolkit to compile kernels.
#pragma once

#define KERNEL extern "C" __global__ void
#define DEVICE __device__ __forceinline__
#define UNROLL _Pragma("unroll")

// Dynamic shared memory of a block, as many bytes as the launch says.
#define SHARED(name) extern __shared__ __align__(1024) unsigned char name[]

typedef float f32;
typedef unsigned char u8;
struct f16 {
    unsigned short bits;
};
struct bf16 {
    unsigned short bits;
};

DEVICE float float_of(f16 v) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(v.bits));
    return f;
}

DEVICE unsigned bits_of(float v) { return __float_as_uint(v); }
DEVICE float float_from(unsigned bits) { return __uint_as_float(bits); }

// v to nearest, ties to even.
DEVICE f16 f16_of(float v) {
    f16 h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(v));
    return h;
}

// cos(2π·t).
DEVICE float cos_turn(float t) { return cospif(2.0f * t); }

// The high word of a·b.
DEVICE unsigned high_word(unsigned a, unsigned b) { return __umulhi(a, b); }
