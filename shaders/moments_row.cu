// MomentsRow: mean and variance of channels over all samples, in a device's row
//
//   moments [N C 4]: mean, variance of a sample, see moments_fold   parts [WORLD C 2]: mean, variance in row RANK, else 0
//
// One thread makes those of one row and channel. Threads: COUNT = WORLD·C.
//
// Prelude: N, C, RANK, COUNT (unsigned).

KERNEL moments_row(float *parts, const float *moments) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    float mean = 0.0f, squares = 0.0f;
    if (i / C == RANK) {
        const float *of = moments + 4 * (i % C);
        float sum = 0.0f;
        for (unsigned n = 0; n < N; n++) {
            sum += of[4 * n * C] - of[0];
        }
        mean = of[0] + sum / (float)N;
        for (unsigned n = 0; n < N; n++) {
            const float *m = of + 4 * n * C;
            squares += m[1] + (m[0] - mean) * (m[0] - mean);
        }
    }
    parts[2 * i] = mean;
    parts[2 * i + 1] = squares / (float)N;
}
