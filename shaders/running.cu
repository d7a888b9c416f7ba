// Running: statistics of running ones
//
//   mean, variance [C]   stats [N C 2]: mean, 1/√(variance + EPS)
//
// One thread makes those of one sample and channel. Threads: COUNT = N·C.
//
// Prelude: C, COUNT (unsigned); EPS (float).

KERNEL running(float *stats, const float *mean, const float *variance) {
    const unsigned i = thread();
    if (i < COUNT) {
        stats[2 * i] = mean[i % C];
        stats[2 * i + 1] = 1.0f / sqrtf(variance[i % C] + EPS);
    }
}
