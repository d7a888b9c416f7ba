// AvgPool: y[n o c] = Σ x[n o·s + k c] / (SD·SH·SW)
//
//   x T [N D·SD H·SH W·SW C]   y T [N D H W C]
//
// One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; H, W, C, SD, SH, SW, COUNT (unsigned).

KERNEL avg_pool(T *y, const T *x) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned c = i % C;
    const unsigned w = i / C % W;
    const unsigned h = i / (C * W) % H;
    const unsigned d = i / (C * W * H); // of all samples
    float sum = 0.0f;
    for (unsigned k = 0; k < SD * SH * SW; k++) {
        const unsigned xd = d * SD + k / (SH * SW);
        const unsigned xh = h * SH + k / SW % SH;
        sum += float_of(x[((xd * H * SH + xh) * W * SW + w * SW + k % SW) * C + c]);
    }
    y[i] = stored<T>(sum / (float)(SD * SH * SW));
}
