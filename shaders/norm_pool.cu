// NormPool: statistics of sets of samples and channels from the moments of each
//
//   moments [N C 4]: mean, variance, see moments_fold   stats [N C 2]: mean, 1/√(variance + EPS)
//
// A set is SAMPLES samples and WIDTH channels that follow each other. One thread makes
// the statistics of one sample and channel. Threads: COUNT = N·C.
//
// Prelude: C, SAMPLES, WIDTH, COUNT (unsigned); EPS (float).

KERNEL norm_pool(float *stats, const float *moments) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const float *set = moments + 4 * (i / (C * SAMPLES) * SAMPLES * C + i % C / WIDTH * WIDTH);
    const float origin = set[0];
    float sum = 0.0f, squares = 0.0f;
    for (unsigned n = 0; n < SAMPLES; n++) {
        for (unsigned c = 0; c < WIDTH; c++) {
            sum += set[4 * (n * C + c)] - origin;
        }
    }
    const float mean = origin + sum / (float)(SAMPLES * WIDTH);
    for (unsigned n = 0; n < SAMPLES; n++) {
        for (unsigned c = 0; c < WIDTH; c++) {
            const float *m = set + 4 * (n * C + c);
            squares += m[1] + (m[0] - mean) * (m[0] - mean);
        }
    }
    stats[2 * i] = mean;
    stats[2 * i + 1] = 1.0f / sqrtf(squares / (float)(SAMPLES * WIDTH) + EPS);
}
