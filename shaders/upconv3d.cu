// UpConv3D: y[n o co] = b[co] + Σ x[n ⌊o/s⌋ ci] · w[o mod s, ci co]
//
//   x T [N D H W CI]   w TW [SD SH SW CI CO]   b [CO]   y T [N D·SD H·SH W·SW CO]
//
// One thread makes one element of y. Threads: COUNT.
//
// Prelude: T, TW; HAS_B (bool); D, H, W, CI, CO, SD, SH, SW, COUNT (unsigned).

KERNEL upconv3d(T *y, const T *x, const TW *w, const float *b) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned co = i % CO;
    const unsigned ow = i / CO % (W * SW);
    const unsigned oh = i / CO / (W * SW) % (H * SH);
    const unsigned od = i / CO / (W * SW) / (H * SH); // of all samples
    const T *from = x + (size_t)((od / SD * H + oh / SH) * W + ow / SW) * CI;
    const TW *by = w + ((od % SD * SH + oh % SH) * SW + ow % SW) * CI * CO + co;
    float sum = 0.0f;
    for (unsigned ci = 0; ci < CI; ci++) {
        sum += float_of(from[ci]) * float_of(by[ci * CO]);
    }
    if (HAS_B) {
        sum += b[co];
    }
    y[i] = stored<T>(sum);
}
