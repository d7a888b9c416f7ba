// NormApply: y = leaky((x − mean)·rstd·gamma + beta)
//
//   x, y T [N V C]   gamma, beta [C]   stats [N C 2]
//
// One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; V, C, COUNT (unsigned); SLOPE (float).

KERNEL norm_apply(T *y, const T *x, const float *gamma, const float *beta, const float *stats) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned c = i % C;
    const unsigned s = 2 * (i / (V * C) * C + c);
    y[i] = stored<T>(leaky((float_of(x[i]) - stats[s]) * stats[s + 1] * gamma[c] + beta[c], SLOPE));
}
