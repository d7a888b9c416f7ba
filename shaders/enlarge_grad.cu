// EnlargeGrad: dx[n i c] = Σ dy[n o c]·Π share(o, i), see enlarge
//
//   dy T [N D·SD H·SH W·SW C]   dx T [N D H W C]
//
// One thread makes one element of dx. Threads: COUNT.
//
// Prelude: T; D, H, W, C, SD, SH, SW, COUNT (unsigned).

DEVICE float share(unsigned o, unsigned i, unsigned n, unsigned m) {
    if (n == 1) {
        return 1.0f;
    }
    const unsigned a = o * (n - 1), b = i * (m - 1), away = a > b ? a - b : b - a;
    return away < m - 1 ? (float)(m - 1 - away) / (float)(m - 1) : 0.0f;
}

// The first position that voxel i may have a share of, and the one behind the last.
DEVICE unsigned first(unsigned i, unsigned n, unsigned m) { return n == 1 || i == 0 ? 0 : (i - 1) * (m - 1) / (n - 1); }
DEVICE unsigned last(unsigned i, unsigned n, unsigned m) { return n == 1 ? m : min(m, (i + 1) * (m - 1) / (n - 1) + 1); }

KERNEL enlarge_grad(T *dx, const T *dy) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned w = i / C % W, h = i / (C * W) % H, d = i / (C * W * H) % D, n = i / (C * W * H * D);
    float sum = 0.0f;
    for (unsigned od = first(d, D, D * SD); od < last(d, D, D * SD); od++) {
        const float fd = share(od, d, D, D * SD);
        for (unsigned oh = first(h, H, H * SH); oh < last(h, H, H * SH); oh++) {
            const float fh = fd * share(oh, h, H, H * SH);
            for (unsigned ow = first(w, W, W * SW); ow < last(w, W, W * SW); ow++) {
                const unsigned yi = (((n * D * SD + od) * H * SH + oh) * W * SW + ow) * C + i % C;
                sum += fh * share(ow, w, W, W * SW) * float_of(dy[yi]);
            }
        }
    }
    dx[i] = stored<T>(sum);
}
