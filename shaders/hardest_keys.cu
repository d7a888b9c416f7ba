// HardestKeys: the bits of the cross entropy of each voxel plus 1, 0 where the label is ignored
//
//   logits T [N D H W K]   labels u8 [N D·SD H·SH W·SW]   keys [N D H W]
//
// The bits of floats >= 0 have the order of the floats. One thread makes the key of
// one voxel. Threads: COUNT = N·D·H·W.
//
// Prelude: T; H, W, K, SD, SH, SW, IGNORE (256: none), COUNT (unsigned);
// SMOOTHING (float), see seg_sums.

KERNEL hardest_keys(unsigned *keys, const T *logits, const u8 *labels) {
    const unsigned v = thread();
    if (v >= COUNT) {
        return;
    }
    const unsigned d = v / (W * H); // of all samples: their planes follow each other
    const unsigned label =
        labels[((size_t)(d * SD + SD / 2) * H * SH + v / W % H * SH + SH / 2) * W * SW + v % W * SW + SW / 2];
    if (label == IGNORE) {
        keys[v] = 0;
        return;
    }
    const T *z = logits + (size_t)v * K;
    float top = float_of(z[0]), all = 0.0f;
    for (unsigned j = 1; j < K; j++) {
        top = fmaxf(top, float_of(z[j]));
    }
    for (unsigned j = 0; j < K; j++) {
        all += expf(float_of(z[j]) - top);
    }
    const float own = float_of(z[label >= K ? 0 : label]);
    float ce = logf(all) + (top - own);
    if (SMOOTHING != 0.0f) {
        float mean = 0.0f;
        for (unsigned j = 0; j < K; j++) {
            mean += float_of(z[j]) / (float)K;
        }
        ce += SMOOTHING * (own - mean);
    }
    keys[v] = bits_of(fmaxf(ce, 0.0f)) + 1;
}
