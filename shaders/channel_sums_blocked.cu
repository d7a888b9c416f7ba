// ChannelSums in blocks of channels: parts[s c] = Σ x[r c] over the rows r of split s, see channel_sums
//
//   x T [ROWS C]   parts [SPLITS C]
//
// One thread makes the sums of PER channels, 16 bytes of a row. C is a multiple of
// PER. Threads: COUNT = SPLITS·C/PER.
//
// Prelude: T; ROWS, C, SPLITS, COUNT (unsigned).

constexpr int PER = 16 / sizeof(T);

KERNEL channel_sums_blocked(float *parts, const T *x) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned across = C / PER;
    float sum[PER], e[PER];
    UNROLL for (int c = 0; c < PER; c++) {
        sum[c] = 0.0f;
    }
    for (unsigned row = i / across; row < ROWS; row += SPLITS) {
        load_vector(e, x + (size_t)row * C + i % across * PER);
        UNROLL for (int c = 0; c < PER; c++) {
            sum[c] += e[c];
        }
    }
    UNROLL for (int c = 0; c < PER; c++) {
        parts[(size_t)i * PER + c] = sum[c];
    }
}
