// NormActGrad in blocks of channels: dx = gamma·rstd·(g − Σg/V − x̂·Σ(g·x̂)/V), see norm_grad
//
//   dx, dy, x T [N V C]   gamma, beta [C]   stats [N C 2]   sums [N C 2], see norm_grad_fold
//   x̂ = (x − mean)·rstd   g = dy·leaky′(x̂·gamma + beta)
//
// One thread makes PER channels, 16 bytes, of up to 4 voxels that follow each other.
// C is a multiple of PER. Threads: COUNT = N·⌈V/4⌉·C/PER.
//
// Prelude: T; POOLED (bool); V, C, COUNT (unsigned); SLOPE (float).

constexpr int PER = 16 / sizeof(T);

KERNEL norm_grad_blocked(T *dx, const T *dy, const T *x, const float *gamma, const float *beta, const float *stats, const float *sums) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned across = C / PER, fours = (V + 3) / 4;
    const unsigned c0 = i % across * PER, first = i / across % fours * 4, n = i / (across * fours);
    float mean[PER], rstd[PER], by[PER], plus[PER], of_g[PER], of_product[PER];
    UNROLL for (int c = 0; c < PER; c++) {
        const unsigned s = 2 * (n * C + c0 + c);
        mean[c] = stats[s];
        rstd[c] = stats[s + 1];
        of_g[c] = POOLED ? sums[s] : sums[s] / (float)V;
        of_product[c] = POOLED ? sums[s + 1] : sums[s + 1] / (float)V;
        by[c] = gamma[c0 + c];
        plus[c] = beta[c0 + c];
    }
    UNROLL for (unsigned j = 0; j < 4; j++) {
        if (first + j < V) {
            const size_t at = ((size_t)n * V + first + j) * C + c0;
            float e[PER], g[PER];
            load_vector(e, x + at);
            load_vector(g, dy + at);
            UNROLL for (int c = 0; c < PER; c++) {
                const float xhat = (e[c] - mean[c]) * rstd[c];
                const float own = xhat * by[c] + plus[c] >= 0.0f ? g[c] : SLOPE * g[c];
                g[c] = POOLED ? rstd[c] * (by[c] * own - of_g[c] - xhat * of_product[c])
                              : by[c] * rstd[c] * (own - of_g[c] - xhat * of_product[c]);
            }
            store_vector(dx + at, g);
        }
    }
}
