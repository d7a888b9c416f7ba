// NormApply in blocks of channels: y = leaky((x − mean)·rstd·gamma + beta), see norm_apply
//
//   x, y T [N V C]   gamma, beta [C]   stats [N C 2]
//
// One thread makes PER channels, 16 bytes, of up to 4 voxels that follow each other.
// C is a multiple of PER. Threads: COUNT = N·⌈V/4⌉·C/PER.
//
// Prelude: T; V, C, COUNT (unsigned); SLOPE (float).

constexpr int PER = 16 / sizeof(T);

KERNEL norm_apply_blocked(T *y, const T *x, const float *gamma, const float *beta, const float *stats) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned across = C / PER, fours = (V + 3) / 4;
    const unsigned c0 = i % across * PER, first = i / across % fours * 4, n = i / (across * fours);
    float mean[PER], rstd[PER], by[PER], plus[PER];
    UNROLL for (int c = 0; c < PER; c++) {
        mean[c] = stats[2 * (n * C + c0 + c)];
        rstd[c] = stats[2 * (n * C + c0 + c) + 1];
        by[c] = gamma[c0 + c];
        plus[c] = beta[c0 + c];
    }
    UNROLL for (unsigned j = 0; j < 4; j++) {
        if (first + j < V) {
            const size_t at = ((size_t)n * V + first + j) * C + c0;
            float e[PER];
            load_vector(e, x + at);
            UNROLL for (int c = 0; c < PER; c++) {
                e[c] = leaky((e[c] - mean[c]) * rstd[c] * by[c] + plus[c], SLOPE);
            }
            store_vector(y + at, e);
        }
    }
}
