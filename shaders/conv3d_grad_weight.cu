// Conv3DGradWeight: dw[k C0+c co] = Σ dy[n o co] · x[n o·s + k − (K−1)/2 c]
//
//   dy T [N OD OH OW CO]   x T [N D H W C], channels C0 … C0+C-1 of CI   parts [SPLITS KD KH KW CI CO]
//
// One thread sums one weight over the rows r of dy, r mod SPLITS its own; fold
// adds the parts. Threads: COUNT = SPLITS·KD·KH·KW·C·CO, once for each input.
//
// Prelude: T; N, D, H, W, C, C0, CI, CO, OD, OH, OW, KD, KH, KW, SD, SH, SW,
// SPLITS, COUNT (unsigned).

KERNEL conv3d_grad_weight(float *parts, const T *dy, const T *x) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned co = i % CO;
    const unsigned c = i / CO % C;
    const unsigned k = i / CO / C % (KD * KH * KW);
    const unsigned part = i / CO / C / (KD * KH * KW);
    float sum = 0.0f;
    for (unsigned row = part; row < N * OD * OH; row += SPLITS) {
        const unsigned h = row % OH * SH + k / KW % KH - (KH - 1) / 2; // below 0 is above H
        const unsigned d = row / OH % OD * SD + k / (KH * KW) - (KD - 1) / 2;
        if (h >= H || d >= D) {
            continue;
        }
        const unsigned line = ((row / (OH * OD) * D + d) * H + h) * W;
        for (unsigned ow = 0; ow < OW; ow++) {
            const unsigned xw = ow * SW + k % KW - (KW - 1) / 2;
            if (xw < W) {
                sum += float_of(dy[(size_t)(row * OW + ow) * CO + co]) * float_of(x[(size_t)(line + xw) * C + c]);
            }
        }
    }
    parts[(size_t)(part * KD * KH * KW + k) * CI * CO + (C0 + c) * CO + co] = sum;
}
