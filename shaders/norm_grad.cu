// NormActGrad: dx = gamma·rstd·(g − Σg/V − x̂·Σ(g·x̂)/V)
//
//   dx, dy, x T [N V C]   gamma, beta [C]   stats [N C 2]   sums [N C 2], see norm_grad_fold
//   x̂ = (x − mean)·rstd   g = dy·leaky′(x̂·gamma + beta)
//
// One thread makes one element of dx. Threads: COUNT.
//
// Prelude: T; V, C, COUNT (unsigned); SLOPE (float).

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
    dx[i] = stored<T>(gamma[c] * rstd * (g - sums[s] / (float)V - xhat * (sums[s + 1] / (float)V)));
}
