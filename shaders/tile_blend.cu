// TileBlend: acc[o] += m·weights[i]·logits[n i*]   norm[o] += m·weights[i]   o = corner + i
//
//   logits T [N D H W K]   weights [D H W]   ctl: rows from CTL on   acc [S VH VW K]   norm [S VH VW]
//
// i* is i, reversed on the axes of the row's mirror bits; plane o of the volume's
// DEPTH is plane o mod S of acc. One thread does a column of acc and a class, rows
// in order. Threads: COUNT = VH·VW·K.
//
// Prelude: T; N, D, H, W, K, S, VH, VW, DEPTH, CTL, COUNT (unsigned).

KERNEL tile_blend(float *acc, float *norm, const T *logits, const float *weights, const float *ctl) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned k = i % K, column = i / K;
    for (unsigned n = 0; n < N; n++) {
        const float *row = ctl + CTL + 8 * n;
        const float m = row[7];
        const unsigned h = (unsigned)((int)(column / VW) - (int)row[4]); // below 0 is above H
        const unsigned w = (unsigned)((int)(column % VW) - (int)row[5]);
        if (m == 0.0f || h >= H || w >= W) {
            continue;
        }
        const unsigned bits = (unsigned)row[6];
        const unsigned th = bits & 2u ? H - 1 - h : h;
        const unsigned tw = bits & 4u ? W - 1 - w : w;
        for (unsigned d = 0; d < D; d++) {
            const unsigned o = (unsigned)((int)row[3] + (int)d);
            if (o >= DEPTH) {
                continue;
            }
            const float weight = m * weights[(d * H + h) * W + w];
            const unsigned td = bits & 1u ? D - 1 - d : d;
            const size_t a = (size_t)(o % S) * VH * VW + column;
            acc[a * K + k] += weight * float_of(logits[(size_t)(((n * D + td) * H + th) * W + tw) * K + k]);
            if (k == 0) {
                norm[a] += weight;
            }
        }
    }
}
