// Enlarge: y[n o c] = Σ x[n i c]·Π share(o, i), linear between voxels, corners stay
//
//   x T [N D H W C]   y T [N D·SD H·SH W·SW C]
//   share = max(0, 1 − |o·(n−1) − i·(m−1)|/(m−1)) on an axis of n voxels made m long
//
// One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; D, H, W, C, SD, SH, SW, COUNT (unsigned).

// The voxel before o, and the share of the next one.
struct Spot {
    unsigned i;
    float f;
};

DEVICE Spot spot(unsigned o, unsigned n, unsigned m) {
    Spot s = {0, 0.0f};
    if (n > 1) {
        const unsigned p = o * (n - 1);
        s.i = p / (m - 1);
        s.f = (float)(p % (m - 1)) / (float)(m - 1);
    }
    return s;
}

KERNEL enlarge(T *y, const T *x) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const Spot w = spot(i / C % (W * SW), W, W * SW), h = spot(i / (C * W * SW) % (H * SH), H, H * SH);
    const Spot d = spot(i / (C * W * SW * H * SH) % (D * SD), D, D * SD);
    const unsigned n = i / (C * W * SW * H * SH * D * SD);
    float sum = 0.0f;
    for (unsigned k = 0; k < 8; k++) {
        const unsigned ud = k >> 2, uh = k >> 1 & 1u, uw = k & 1u;
        const float share = (ud ? d.f : 1.0f - d.f) * (uh ? h.f : 1.0f - h.f) * (uw ? w.f : 1.0f - w.f);
        if (share > 0.0f) {
            sum += share * float_of(x[(((n * D + d.i + ud) * H + h.i + uh) * W + w.i + uw) * C + i % C]);
        }
    }
    y[i] = stored<T>(sum);
}
