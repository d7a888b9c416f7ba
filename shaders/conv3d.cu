// Conv3D: y[n o co] = b[co] + Σ x[n o·s + k − (K−1)/2 c] · w[k c co]
//
//   x T [N D H W C1]   x2 T [N D H W C2]   w TW [KD KH KW C1+C2 CO]   b [CO]   y T [N OD OH OW CO]
//
// One thread makes one element of y. Threads: COUNT.
//
// Prelude: T, TW; HAS_B (bool); D, H, W, C1, C2, CO, OD, OH, OW, KD, KH, KW, SD,
// SH, SW, COUNT (unsigned).

DEVICE float dot(const T *x, const TW *w, unsigned channels) {
    float sum = 0.0f;
    for (unsigned c = 0; c < channels; c++) {
        sum += float_of(x[c]) * float_of(w[c * CO]);
    }
    return sum;
}

KERNEL conv3d(T *y, const T *x, const TW *w, const float *b, const T *x2) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned co = i % CO;
    const unsigned ow = i / CO % OW;
    const unsigned oh = i / CO / OW % OH;
    const unsigned od = i / CO / OW / OH % OD;
    const unsigned n = i / CO / OW / OH / OD;
    float sum = 0.0f;
    for (unsigned k = 0; k < KD * KH * KW; k++) {
        const unsigned d = od * SD + k / (KH * KW) - (KD - 1) / 2; // below 0 is above D
        const unsigned h = oh * SH + k / KW % KH - (KH - 1) / 2;
        const unsigned v = ow * SW + k % KW - (KW - 1) / 2;
        if (d >= D || h >= H || v >= W) {
            continue;
        }
        const unsigned voxel = ((n * D + d) * H + h) * W + v;
        const unsigned wi = k * (C1 + C2) * CO + co;
        sum += dot(x + (size_t)voxel * C1, w + wi, C1);
        if (C2 > 0) {
            sum += dot(x2 + (size_t)voxel * C2, w + wi + C1 * CO, C2);
        }
    }
    if (HAS_B) {
        sum += b[co];
    }
    y[i] = stored<T>(sum);
}
