// Track: mean += MOMENTUM·(m − mean), variance += MOMENTUM·(v·UNBIASED − variance)
//
//   mean, variance [C]   stats [N C 2]: m, r = 1/√(v + EPS), of which those of the first sample are read
//
// v = max(0, 1/r² − EPS). UNBIASED is n/(n−1). One thread makes one channel. Threads:
// COUNT = C.
//
// Prelude: COUNT (unsigned); EPS, MOMENTUM, UNBIASED (float).

KERNEL track(float *mean, float *variance, const float *stats) {
    const unsigned c = thread();
    if (c < COUNT) {
        const float r = stats[2 * c + 1];
        const float v = fmaxf(0.0f, 1.0f / (r * r) - EPS);
        mean[c] += MOMENTUM * (stats[2 * c] - mean[c]);
        variance[c] += MOMENTUM * (v * UNBIASED - variance[c]);
    }
}
