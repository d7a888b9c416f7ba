// AvgPoolGrad: dx[n i c] = dy[n ⌊i/s⌋ c] / (SD·SH·SW)
//
//   dy T [N D H W C]   dx T [N D·SD H·SH W·SW C]
//
// One thread makes one element of dx. Threads: COUNT.
//
// Prelude: T; H, W, C, SD, SH, SW, COUNT (unsigned).

KERNEL avg_pool_grad(T *dx, const T *dy) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned c = i % C;
    const unsigned w = i / C % (W * SW) / SW;
    const unsigned h = i / (C * W * SW) % (H * SH) / SH;
    const unsigned d = i / (C * W * SW * H * SH) / SD; // of all samples
    dx[i] = stored<T>(float_of(dy[((d * H + h) * W + w) * C + c]) / (float)(SD * SH * SW));
}
