// Moments: mean, Σ(x − mean)², minimum and maximum of BLOCK voxels of a channel
//
//   x T [N V C]   parts [N BLOCKS C 4]
//
// One thread makes those of one block, the mean first: squares are of deviations,
// so that they do not cancel. Threads: COUNT = N·BLOCKS·C.
//
// Prelude: T; V, C, BLOCK, BLOCKS, COUNT (unsigned).

KERNEL moments(float *parts, const T *x) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned first = i / C % BLOCKS * BLOCK;
    const unsigned last = min(first + BLOCK, V);
    const T *from = x + (size_t)(i / (C * BLOCKS)) * V * C + i % C;
    float low = float_of(from[(size_t)first * C]);
    float high = low, sum = 0.0f;
    for (unsigned v = first; v < last; v++) {
        const float e = float_of(from[(size_t)v * C]);
        sum += e;
        low = fminf(low, e);
        high = fmaxf(high, e);
    }
    const float mean = sum / (float)(last - first);
    float squares = 0.0f;
    for (unsigned v = first; v < last; v++) {
        const float e = float_of(from[(size_t)v * C]) - mean;
        squares += e * e;
    }
    parts[4 * i] = mean;
    parts[4 * i + 1] = squares;
    parts[4 * i + 2] = low;
    parts[4 * i + 3] = high;
}
