// NormGradSums: Σ g and Σ g·x̂ over BLOCK voxels of a channel
//
//   dy, x T [N V C]   gamma, beta [C]   stats [N C 2]   parts [N BLOCKS C 2]
//   x̂ = (x − mean)·rstd   g = dy·leaky′(x̂·gamma + beta)
//
// One thread makes the sums of one block. Threads: COUNT = N·BLOCKS·C.
//
// Prelude: T; V, C, BLOCK, BLOCKS, COUNT (unsigned); SLOPE (float).

KERNEL norm_grad_sums(float *parts, const T *dy, const T *x, const float *gamma, const float *beta, const float *stats) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned c = i % C;
    const unsigned block = i / C % BLOCKS;
    const unsigned n = i / (C * BLOCKS);
    const float mean = stats[2 * (n * C + c)], rstd = stats[2 * (n * C + c) + 1];
    float sum = 0.0f, product = 0.0f;
    for (unsigned v = block * BLOCK; v < min((block + 1) * BLOCK, V); v++) {
        const size_t j = (size_t)(n * V + v) * C + c;
        const float xhat = (float_of(x[j]) - mean) * rstd;
        float g = float_of(dy[j]);
        g = xhat * gamma[c] + beta[c] >= 0.0f ? g : SLOPE * g;
        sum += g;
        product += g * xhat;
    }
    parts[2 * i] = sum;
    parts[2 * i + 1] = product;
}
