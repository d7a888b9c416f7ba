// Sharpen: y = x + a·Σ (x − neighbour) over the six neighbours, copies of the border being outside
//
//   x, y T [N D H W C]   ctl: a of [N C] from CTL on, 0: unchanged
//
// One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; D, H, W, C, CTL, COUNT (unsigned).

// Σ (v − neighbour) of both along an axis of so many voxels, stride elements apart.
DEVICE float along(const T *x, unsigned i, float v, unsigned o, unsigned size, unsigned stride) {
    const float low = float_of(x[o == 0 ? i : i - stride]), high = float_of(x[o + 1 == size ? i : i + stride]);
    return (v - low) + (v - high);
}

KERNEL sharpen(T *y, const T *x, const float *ctl) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const float a = ctl[CTL + i / (C * W * H * D) * C + i % C];
    if (a == 0.0f) {
        y[i] = x[i];
        return;
    }
    const float v = float_of(x[i]);
    const float d = along(x, i, v, i / (C * W * H) % D, D, C * W * H);
    const float h = along(x, i, v, i / (C * W) % H, H, C * W);
    y[i] = stored<T>(v + a * (d + h + along(x, i, v, i / C % W, W, C)));
}
