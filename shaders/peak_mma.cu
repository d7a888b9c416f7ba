// PeakMMA: as many multiply-adds as a GPU makes from registers
//
//   sums f32 [threads]   operands, of T or, of f32, of eleven bits [THREADS 16] words
//
// What kernels that multiply by mma.sync are measured by, of halves or, of floats, of
// eleven bits; without TENSOR what those are that multiply floats one by one. A warp has
// eight products of 16 by 8 sums that do not wait for each other: two operands a by four b.
//
// Operands are to be random: for zeros and ones tensor cores take less power, and clocks
// would be higher than they are for numbers. The sums are stored, so that none is left out.
//
// Blocks: as many of THREADS as the GPU has room for.
//
// Prelude: T; TENSOR (bool); ROUNDS (unsigned).

constexpr int THREADS = 256;

template <class T> DEVICE void product(T, float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { multiply(T(), d, a, b0, b1); }
DEVICE void product(f32, float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { multiply_eleven(d, a, b0, b1); }

KERNEL __launch_bounds__(THREADS, 4) peak_mma(float *sums, const unsigned *operands) {
    unsigned a[2][4], b[4][2];
    UNROLL for (int i = 0; i < 8; i++) {
        a[i / 4][i % 4] = operands[threadIdx.x * 16 + i];
        b[i / 2][i % 2] = operands[threadIdx.x * 16 + 8 + i];
    }
    float d[8][4];
    UNROLL for (int i = 0; i < 32; i++) {
        d[i / 4][i % 4] = 0.0f;
    }
    for (unsigned r = 0; r < ROUNDS; r++) {
        UNROLL for (int i = 0; i < 8; i++) {
            if (TENSOR) {
                product(T(), d[i], a[i / 4], b[i % 4][0], b[i % 4][1]);
                continue;
            }
            UNROLL for (int e = 0; e < 4; e++) { // factors below 1: sums stay small
                d[i][e] = d[i][e] * float_from(a[i / 4][e]) + float_from(b[i % 4][e % 2]);
            }
        }
    }
    float sum = 0.0f;
    UNROLL for (int i = 0; i < 32; i++) {
        sum += d[i / 4][i % 4];
    }
    sums[thread()] = sum;
}
