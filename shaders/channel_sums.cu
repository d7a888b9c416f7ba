// ChannelSums: parts[s c] = Σ x[r c] over the rows r of split s, the first half of a bias's gradient
//
//   x T [ROWS C]   parts [SPLITS C]
//
// One thread makes one sum. Threads: COUNT = SPLITS·C.
//
// Prelude: T; ROWS, C, SPLITS, COUNT (unsigned).

KERNEL channel_sums(float *parts, const T *x) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    float sum = 0.0f;
    for (unsigned row = i / C; row < ROWS; row += SPLITS) {
        sum += float_of(x[row * C + i % C]);
    }
    parts[i] = sum;
}
