// NormActGrad: dx = gamma·rstd·(g − Σg/V − x̂·Σ(g·x̂)/V)
//
//   dx, dy, x T [N V C]   gamma, beta [C]   stats [N C 2]   sums [N C 2], see norm_grad_fold
//   x̂ = (x − mean)·rstd   g = dy·leaky′(x̂·gamma + beta)
//   POOLED: sums are the means of norm_grad_pool, dx = rstd·(gamma·g − the first − x̂·the second)
//
// One thread makes one element of dx. Threads: COUNT.
//
// Prelude: T; POOLED (bool); V, C, COUNT (unsigned); SLOPE (float).

KERNEL norm_grad(T *dx, const T *dy, const T *x, const float *gamma, const float *beta, const float *stats, const float *sums) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned c = i % C;
    const unsigned s = 2 * (i / (V * C) * C + c);
    const float rstd = stats[s + 1];
    const float xhat = (float_of(x[i]) - stats[s]) * rstd;
    float g = float_of(dy[i]);
    g = xhat * gamma[c] + beta[c] >= 0.0f ? g : SLOPE * g;
    if (POOLED) {
        dx[i] = stored<T>(rstd * (gamma[c] * g - sums[s] - xhat * sums[s + 1]));
        return;
    }
    dx[i] = stored<T>(gamma[c] * rstd * (g - sums[s] / (float)V - xhat * (sums[s + 1] / (float)V)));
}
