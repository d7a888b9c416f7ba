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

// Holds v in a register, where the compiler would make it again each time.
DEVICE void hold(unsigned &v) { asm volatile("" : "+r"(v)); }

// The high word of a·b.
DEVICE unsigned high_word(unsigned a, unsigned b) { return __umulhi(a, b); }

// ---- tensor cores: instructions of a warp, all of whose lanes take part

DEVICE unsigned shared_address(const void *p) { return (unsigned)__cvta_generic_to_shared(p); }

// Copies 16 bytes to shared memory, or writes 16 zeros where !there; done when
// copies_wait says so, and then seen by the others behind a barrier. Turing copies
// at once.
DEVICE void copy16(void *to, const void *from, bool there) {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(there ? 16 : 0) : "memory");
#else
    *(uint4 *)to = there ? *(const uint4 *)from : make_uint4(0, 0, 0, 0);
#endif
}

// Ends a group of copies.
DEVICE void copies_commit() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits for all groups but the last so many.
template <int PENDING> DEVICE void copies_wait() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#endif
}

// Four 8×8 matrices of 16-bit elements: lane l names row l mod 8 of matrix l / 8.
DEVICE void load_matrices(unsigned (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The same, each matrix transposed.
DEVICE void load_transposed(unsigned (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// d [16 8] += a [16 16] · b [16 8], as PTX lays m16n8k16 out over a warp. Turing has
// it in two halves, and no bf16.
DEVICE void multiply(f16, float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b0));
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}

#if __CUDA_ARCH__ >= 800
DEVICE void multiply(bf16, float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// The float in r, to nearest of 11 bits, as tensor cores take it.
DEVICE unsigned eleven_bits(float v) {
    unsigned r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(v));
    return r;
}

DEVICE void multiply_eleven(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#else // Turing has none, and no kernel that asks for it
DEVICE unsigned eleven_bits(float v) { return bits_of(v); }
DEVICE void multiply_eleven(float (&)[4], const unsigned (&)[4], unsigned, unsigned) { asm volatile("trap;"); }
#endif
