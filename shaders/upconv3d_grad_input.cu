// UpConv3DGradInput: dx[n i ci] = Σ dy[n i·s + k co] · w[k ci co]
//
//   dy T [N D·SD H·SH W·SW CO]   w TW [SD SH SW CI CO]   dx T [N D H W CI]
//
// One thread makes one element of dx. Threads: COUNT.
//
// Prelude: T, TW; D, H, W, CI, CO, SD, SH, SW, COUNT (unsigned).

KERNEL upconv3d_grad_input(T *dx, const T *dy, const TW *w) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned ci = i % CI;
    const unsigned xw = i / CI % W;
    const unsigned xh = i / CI / W % H;
    const unsigned xd = i / CI / W / H; // of all samples
    float sum = 0.0f;
    for (unsigned k = 0; k < SD * SH * SW; k++) {
        const unsigned od = xd * SD + k / (SH * SW);
        const unsigned oh = xh * SH + k / SW % SH;
        const unsigned ow = xw * SW + k % SW;
        const T *from = dy + (size_t)((od * H * SH + oh) * W * SW + ow) * CO;
        const TW *by = w + (k * CI + ci) * CO;
        for (unsigned co = 0; co < CO; co++) {
            sum += float_of(from[co]) * float_of(by[co]);
        }
    }
    dx[i] = stored<T>(sum);
}
