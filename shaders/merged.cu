// Merged: statistics from the moments of devices that have as many values each
//
//   parts [WORLD C 2]: mean, variance   stats [N C 2]: mean, 1/√(variance + EPS)
//
// One thread makes those of one sample and channel. Threads: COUNT = N·C.
//
// Prelude: C, WORLD, COUNT (unsigned); EPS (float).

KERNEL merged(float *stats, const float *parts) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const float *of = parts + 2 * (i % C);
    float sum = 0.0f, squares = 0.0f;
    for (unsigned r = 0; r < WORLD; r++) {
        sum += of[2 * r * C] - of[0];
    }
    const float mean = of[0] + sum / (float)WORLD;
    for (unsigned r = 0; r < WORLD; r++) {
        const float *m = of + 2 * r * C;
        squares += m[1] + (m[0] - mean) * (m[0] - mean);
    }
    stats[2 * i] = mean;
    stats[2 * i + 1] = 1.0f / sqrtf(squares / (float)WORLD + EPS);
}
