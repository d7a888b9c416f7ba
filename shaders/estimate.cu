// Estimate: mean = m, variance = max(0, 1/r² − EPS)·UNBIASED
//
//   mean, variance [C]   stats [N C 2]: m, r = 1/√(v + EPS), of which those of the first sample are read
//
// UNBIASED is n/(n−1). One thread makes one channel. Threads: COUNT = C.
//
// Prelude: COUNT (unsigned); EPS, UNBIASED (float).

KERNEL estimate(float *mean, float *variance, const float *stats) {
    const unsigned c = thread();
    if (c < COUNT) {
        const float r = stats[2 * c + 1];
        mean[c] = stats[2 * c];
        variance[c] = fmaxf(0.0f, 1.0f / (r * r) - EPS) * UNBIASED;
    }
}
