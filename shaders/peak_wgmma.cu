// PeakWGMMA: as many multiply-adds as a Hopper makes from shared memory
//
//   sums f32 [threads]   operands T [GROUPS] a [DEPTH/8][ROWS][8], then b [DEPTH/8][COLUMNS][8]
//
// What kernels that multiply by wgmma are measured by: mma.sync does not reach the peak of a
// Hopper. A group of four warps multiplies its own 64 rows by 128 that the block shares,
// 64 deep; a round's products are under way while the next ones are started. Per product
// shared memory gives 6 KiB in the 64 clocks that it takes at least, of the 8 it could.
//
// Operands are to be random, and sums are stored: see peak_mma.
//
// Blocks: as many of THREADS as the GPU has room for.
//
// Prelude: T; ROUNDS (unsigned), at least 1.

constexpr int THREADS = 256;
constexpr int GROUPS = THREADS / 128, ROWS = 64, COLUMNS = 128, DEPTH = 64;
constexpr int A = ROWS * DEPTH * 2, B = COLUMNS * DEPTH * 2; // bytes

KERNEL __launch_bounds__(THREADS, 2) peak_wgmma(float *sums, const T *operands) {
    SHARED(memory);
    for (unsigned i = threadIdx.x; i < (GROUPS * A + B) / 16; i += THREADS) {
        copy16(memory + i * 16, operands + i * 8, true);
    }
    copies_commit();
    copies_wait<0>();
    matrices_fence();
    __syncthreads();
    const unsigned a = shared_address(memory) + threadIdx.x / 128 * A, b = shared_address(memory) + GROUPS * A;
    float d[1][COLUMNS / 8][4];
    UNROLL for (int i = 0; i < COLUMNS / 2; i++) {
        d[0][i / 4][i % 4] = 0.0f;
    }
    unsigned r = 0;
    do {
        group_fence();
        UNROLL for (int k = 0; k < DEPTH / 16; k++) {
            multiply_group(T(), d[0], core_matrices(a + k * 2 * ROWS * 16, ROWS * 16, 128), core_matrices(b + k * 2 * COLUMNS * 16, COLUMNS * 16, 128));
        }
        group_commit();
        group_wait<1>(d);
    } while (++r < ROUNDS);
    group_wait<0>(d);
    float sum = 0.0f;
    UNROLL for (int i = 0; i < COLUMNS / 2; i++) {
        sum += d[0][i / 4][i % 4];
    }
    sums[thread()] = sum;
}
