// UpConv3DGradWeight: dw[k ci co] = Σ dy[n i·s + k co] · x[n i ci]
//
//   dy T [N D·SD H·SH W·SW CO]   x T [N D H W CI]   parts [SPLITS SD SH SW CI CO]
//
// One thread sums one weight over the rows r of x, r mod SPLITS its own; fold
// adds the parts. Threads: COUNT = SPLITS·SD·SH·SW·CI·CO.
//
// Prelude: T; N, D, H, W, CI, CO, SD, SH, SW, SPLITS, COUNT (unsigned).

KERNEL upconv3d_grad_weight(float *parts, const T *dy, const T *x) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned co = i % CO;
    const unsigned ci = i / CO % CI;
    const unsigned k = i / (CO * CI) % (SD * SH * SW);
    float sum = 0.0f;
    for (unsigned row = i / (CO * CI * SD * SH * SW); row < N * D * H; row += SPLITS) {
        const unsigned oh = row % H * SH + k / SW % SH;
        const unsigned od = row / H * SD + k / (SH * SW); // of all samples
        for (unsigned xw = 0; xw < W; xw++) {
            const unsigned yi = (od * H * SH + oh) * W * SW + xw * SW + k % SW;
            sum += float_of(dy[(size_t)yi * CO + co]) * float_of(x[(size_t)(row * W + xw) * CI + ci]);
        }
    }
    parts[i] = sum;
}
