// Track: mean += MOMENTUM·(m − mean), variance += MOMENTUM·(v − variance)
//
//   mean, variance, m, v [C]
//
// One thread makes one channel. Threads: COUNT = C.
//
// Prelude: COUNT (unsigned); MOMENTUM (float).

KERNEL track(float *mean, float *variance, const float *m, const float *v) {
    const unsigned c = thread();
    if (c < COUNT) {
        mean[c] += MOMENTUM * (m[c] - mean[c]);
        variance[c] += MOMENTUM * (v[c] - variance[c]);
    }
}
