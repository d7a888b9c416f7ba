// Conv3DGradInput: dx[n i c] = Σ dy[n o co] · w[k C0+c co]   over o·s + k − (K−1)/2 = i
//
//   dy T [N OD OH OW CO]   w TW [KD KH KW CI CO]   dx T [N D H W C], channels C0 … C0+C-1 of CI
//
// One thread makes one element of dx. Threads: COUNT, once for each input of the
// convolution.
//
// Prelude: T, TW; D, H, W, C, C0, CI, CO, OD, OH, OW, KD, KH, KW, SD, SH, SW,
// COUNT (unsigned).

KERNEL conv3d_grad_input(T *dx, const T *dy, const TW *w) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned c = i % C;
    const unsigned xw = i / C % W;
    const unsigned xh = i / C / W % H;
    const unsigned xd = i / C / W / H % D;
    const unsigned n = i / C / W / H / D;
    float sum = 0.0f;
    for (unsigned k = 0; k < KD * KH * KW; k++) {
        const unsigned pd = xd + (KD - 1) / 2 - k / (KH * KW); // below 0 is above OD·SD
        const unsigned ph = xh + (KH - 1) / 2 - k / KW % KH;
        const unsigned pw = xw + (KW - 1) / 2 - k % KW;
        const unsigned od = pd / SD, oh = ph / SH, ow = pw / SW;
        if (od >= OD || oh >= OH || ow >= OW || od * SD != pd || oh * SH != ph || ow * SW != pw) {
            continue;
        }
        const T *from = dy + (size_t)(((n * OD + od) * OH + oh) * OW + ow) * CO;
        const TW *by = w + (k * CI + C0 + c) * CO;
        for (unsigned co = 0; co < CO; co++) {
            sum += float_of(from[co]) * float_of(by[co]);
        }
    }
    dx[i] = stored<T>(sum);
}
