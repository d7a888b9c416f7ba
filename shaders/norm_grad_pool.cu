// NormGradPool: the means over sets of samples and channels that norm_grad takes away
//
//   sums [N C 2]: Σ g, Σ g·x̂, see norm_grad_fold   gamma [C]   means [N C 2]: Σ(gamma·g)/M, Σ(gamma·g·x̂)/M
//
// A set is SAMPLES samples and WIDTH channels that follow each other, M values. One
// thread makes the means of one sample and channel. Threads: COUNT = N·C.
//
// Prelude: V, C, SAMPLES, WIDTH, COUNT (unsigned).

KERNEL norm_grad_pool(float *means, const float *sums, const float *gamma) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned first = i % C / WIDTH * WIDTH;
    const float *set = sums + 2 * (i / (C * SAMPLES) * SAMPLES * C + first);
    float g = 0.0f, product = 0.0f;
    for (unsigned n = 0; n < SAMPLES; n++) {
        for (unsigned c = 0; c < WIDTH; c++) {
            g += gamma[first + c] * set[2 * (n * C + c)];
            product += gamma[first + c] * set[2 * (n * C + c) + 1];
        }
    }
    means[2 * i] = g / ((float)V * (float)(SAMPLES * WIDTH));
    means[2 * i + 1] = product / ((float)V * (float)(SAMPLES * WIDTH));
}
