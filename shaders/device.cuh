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

// ---- Hopper's tensor cores: instructions of a group of four warps that follow each other,
// which run on while the group does other things. Both operands are in shared memory.

// What this thread has written or copied to shared memory may be read by multiply_group, by
// those behind the next barrier.
DEVICE void matrices_fence() {
#if __CUDA_ARCH__ >= 900
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// Rows of an operand, sixteen deep, in core matrices of eight rows by eight elements, 128
// bytes each: deep is the bytes to the one that follows along the depth, next to that of
// the next eight rows.
DEVICE unsigned long long core_matrices(unsigned first, unsigned deep, unsigned next) {
    return (unsigned long long)(first >> 4 & 0x3fffu) | (unsigned long long)(deep >> 4) << 16 | (unsigned long long)(next >> 4) << 32;
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// Before the first of multiply_group, and where its sums were touched.
DEVICE void group_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Ends a batch of products.
DEVICE void group_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits for all batches but the last so many. sums are then those of the products that
// are waited for.
template <int PENDING, int MT, int NT> DEVICE void group_wait(float (&sums)[MT][NT][4]) {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
    if (PENDING == 0) {
        UNROLL for (int i = 0; i < MT * NT * 4; i++) {
            asm volatile("" : "+f"(sums[i / (NT * 4)][i / 4 % NT][i % 4]));
        }
    }
}

// Four sums of a product of groups, as operands.
#define ROW_OF(i) "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])

// d [64 NT·8] += a [64 16] · b [NT·8 16]: warp w of the group has rows 16·w to 16·w + 15,
// as mma.sync lays them out.
#define WGMMA_32(type) \
    DEVICE void multiply_group(type, float (&d)[4][4], unsigned long long a, unsigned long long b) { \
        asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32." #type "." #type \
                     " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, %16, %17, 1, 1, 1, 0, 0;" \
                     : ROW_OF(0), ROW_OF(1), ROW_OF(2), ROW_OF(3) \
                     : "l"(a), "l"(b)); \
    }
WGMMA_32(f16)
WGMMA_32(bf16)
#define WGMMA_64(name, type, turned) \
    DEVICE void name(type, float (&d)[8][4], unsigned long long a, unsigned long long b) { \
        asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." #type "." #type \
                     " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
                     "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, 1, 1, 1, " turned ";" \
                     : ROW_OF(0), ROW_OF(1), ROW_OF(2), ROW_OF(3), ROW_OF(4), ROW_OF(5), ROW_OF(6), ROW_OF(7) \
                     : "l"(a), "l"(b)); \
    }
WGMMA_64(multiply_group, f16, "0, 0")
WGMMA_64(multiply_group, bf16, "0, 0")
#define WGMMA_128(type) \
    DEVICE void multiply_group(type, float (&d)[16][4], unsigned long long a, unsigned long long b) { \
        asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." #type "." #type \
                     " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
                     "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
                     "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
                     "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, 1, 1, 1, 0, 0;" \
                     : ROW_OF(0), ROW_OF(1), ROW_OF(2), ROW_OF(3), ROW_OF(4), ROW_OF(5), ROW_OF(6), ROW_OF(7), ROW_OF(8), ROW_OF(9), ROW_OF(10), ROW_OF(11), ROW_OF(12), ROW_OF(13), ROW_OF(14), ROW_OF(15) \
                     : "l"(a), "l"(b)); \
    }
WGMMA_128(f16)
WGMMA_128(bf16)

// The same of transposed operands, of which a core matrix has eight of the depth by eight rows:
// d [64 64] += aᵀ · b, a [16 64], b [16 64].
WGMMA_64(multiply_transposed, f16, "1, 1")
WGMMA_64(multiply_transposed, bf16, "1, 1")
#else // others have none, and no kernel that asks for it
DEVICE void group_fence() {}
DEVICE void group_commit() {}
template <int PENDING, int MT, int NT> DEVICE void group_wait(float (&)[MT][NT][4]) {}
template <class T, int NT> DEVICE void multiply_group(T, float (&)[NT][4], unsigned long long, unsigned long long) { asm volatile("trap;"); }
template <class T> DEVICE void multiply_transposed(T, float (&)[8][4], unsigned long long, unsigned long long) { asm volatile("trap;"); }
#endif
