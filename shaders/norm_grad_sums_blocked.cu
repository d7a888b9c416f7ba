// NormGradSums in blocks of channels: Σ g and Σ g·x̂ over BLOCK voxels of a channel, see norm_grad_sums
//
//   dy, x T [N V C]   gamma, beta [C]   stats [N C 2]   parts [N BLOCKS C 2]
//   x̂ = (x − mean)·rstd   g = dy·leaky′(x̂·gamma + beta)
//
// One thread makes those of PER channels, 16 bytes of a voxel. C is a multiple of
// PER. Threads: COUNT = N·BLOCKS·C/PER.
//
// Prelude: T; V, C, BLOCK, BLOCKS, COUNT (unsigned); SLOPE (float).

constexpr int PER = 16 / sizeof(T);

KERNEL norm_grad_sums_blocked(float *parts, const T *dy, const T *x, const float *gamma, const float *beta, const float *stats) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned across = C / PER, c0 = i % across * PER;
    const unsigned block = i / across % BLOCKS, n = i / (across * BLOCKS);
    float mean[PER], rstd[PER], by[PER], plus[PER], sum[PER], product[PER];
    UNROLL for (int c = 0; c < PER; c++) {
        mean[c] = stats[2 * (n * C + c0 + c)];
        rstd[c] = stats[2 * (n * C + c0 + c) + 1];
        by[c] = gamma[c0 + c];
        plus[c] = beta[c0 + c];
        sum[c] = 0.0f;
        product[c] = 0.0f;
    }
    const unsigned last = min((block + 1) * BLOCK, V);
    for (unsigned v = block * BLOCK; v < last; v++) {
        const size_t at = ((size_t)n * V + v) * C + c0;
        float e[PER], g[PER];
        load_vector(e, x + at);
        load_vector(g, dy + at);
        UNROLL for (int c = 0; c < PER; c++) {
            const float xhat = (e[c] - mean[c]) * rstd[c];
            const float own = xhat * by[c] + plus[c] >= 0.0f ? g[c] : SLOPE * g[c];
            sum[c] += own;
            product[c] += own * xhat;
        }
    }
    float *to = parts + (size_t)2 * PER * i;
    UNROLL for (int c = 0; c < PER; c++) {
        to[2 * c] = sum[c];
        to[2 * c + 1] = product[c];
    }
}
