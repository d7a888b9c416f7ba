// Conv3DFold: y = b + Σ parts over the splits of conv3d_mma or conv3d_wgmma, in order
//
//   parts [SPLITS COUNT]   b [CO]   y T [COUNT], rows of CO
//
// One thread makes one element. Threads: COUNT.
//
// Prelude: T; HAS_B (bool); SPLITS, CO, COUNT (unsigned).

KERNEL conv3d_fold(T *y, const float *parts, const float *b) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    float sum = 0.0f;
    for (unsigned s = 0; s < SPLITS; s++) {
        sum += parts[(size_t)s * COUNT + i];
    }
    y[i] = stored<T>(HAS_B ? sum + b[i % CO] : sum);
}
