// LowRes: x, kept at m = max(1, round(scale·size)) voxels of each axis, nearest, and brought back linearly
//
//   x, y T [N D H W C]   ctl: scale of [N C] from CTL on, 0 and 1: unchanged
//
// Coarse voxel j is x[⌊(j + ½)·size/m⌋]; voxel i lies at (i + ½)·m/size − ½,
// clamped. Axes with KEEP stay as they are. One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; KEEPD, KEEPH, KEEPW (bool); D, H, W, C, CTL, COUNT (unsigned).

struct Between {
    unsigned low, high;
    float f; // the share of high
};

// Voxels of x that voxel o of size lies between, by way of the coarse ones.
DEVICE Between between(unsigned o, float scale, unsigned size) {
    const unsigned m = (unsigned)max(1, round_times(scale, size));
    const unsigned twice = (2 * o + 1) * m;
    const unsigned p = twice > size ? twice - size : 0;
    unsigned low = p / (2 * size), high = low + 1;
    float f = (float)(p % (2 * size)) / (float)(2 * size);
    if (high >= m) {
        low = m - 1;
        high = low;
        f = 0.0f;
    }
    return {(2 * low + 1) * size / (2 * m), (2 * high + 1) * size / (2 * m), f};
}

DEVICE float along(const T *line, Between w) {
    return (1.0f - w.f) * float_of(line[(size_t)w.low * C]) + w.f * float_of(line[(size_t)w.high * C]);
}

DEVICE float plane(const T *x, Between h, Between w) {
    return (1.0f - h.f) * along(x + (size_t)h.low * W * C, w) + h.f * along(x + (size_t)h.high * W * C, w);
}

KERNEL low_res(T *y, const T *x, const float *ctl) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned c = i % C, n = i / (C * W * H * D);
    const float scale = ctl[CTL + n * C + c];
    if (scale == 0.0f || scale == 1.0f) {
        y[i] = x[i];
        return;
    }
    const Between d = between(i / (C * W * H) % D, KEEPD ? 1.0f : scale, D);
    const Between h = between(i / (C * W) % H, KEEPH ? 1.0f : scale, H);
    const Between w = between(i / C % W, KEEPW ? 1.0f : scale, W);
    const T *from = x + (size_t)n * D * H * W * C + c;
    const float near = plane(from + (size_t)d.low * H * W * C, h, w);
    const float far = plane(from + (size_t)d.high * H * W * C, h, w);
    y[i] = stored<T>((1.0f - d.f) * near + d.f * far);
}
