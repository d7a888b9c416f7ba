// Moments in blocks of channels: mean, Σ(x − mean)², minimum and maximum of BLOCK voxels of a channel, see moments
//
//   x T [N V C]   parts [N BLOCKS C 4]
//
// One thread makes those of PER channels, 16 bytes of a voxel. C is a multiple of
// PER. Threads: COUNT = N·BLOCKS·C/PER.
//
// Prelude: T; V, C, BLOCK, BLOCKS, COUNT (unsigned).

constexpr int PER = 16 / sizeof(T);

KERNEL moments_blocked(float *parts, const T *x) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned across = C / PER;
    const unsigned first = i / across % BLOCKS * BLOCK;
    const unsigned last = min(first + BLOCK, V);
    const T *from = x + (size_t)(i / (across * BLOCKS)) * V * C + i % across * PER;
    float low[PER], high[PER], mean[PER], squares[PER], e[PER];
    load_vector(low, from + (size_t)first * C);
    UNROLL for (int c = 0; c < PER; c++) {
        high[c] = low[c];
        mean[c] = 0.0f;
        squares[c] = 0.0f;
    }
    for (unsigned v = first; v < last; v++) {
        load_vector(e, from + (size_t)v * C);
        UNROLL for (int c = 0; c < PER; c++) {
            mean[c] += e[c];
            low[c] = fminf(low[c], e[c]);
            high[c] = fmaxf(high[c], e[c]);
        }
    }
    UNROLL for (int c = 0; c < PER; c++) {
        mean[c] /= (float)(last - first);
    }
    for (unsigned v = first; v < last; v++) {
        load_vector(e, from + (size_t)v * C);
        UNROLL for (int c = 0; c < PER; c++) {
            squares[c] += (e[c] - mean[c]) * (e[c] - mean[c]);
        }
    }
    float *to = parts + (size_t)4 * PER * i;
    UNROLL for (int c = 0; c < PER; c++) {
        to[4 * c] = mean[c];
        to[4 * c + 1] = squares[c];
        to[4 * c + 2] = low[c];
        to[4 * c + 3] = high[c];
    }
}
