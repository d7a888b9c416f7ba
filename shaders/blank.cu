// Blank: y = the value of the last box that a voxel lies in, else x
//
//   x, y T [N D H W C]   ctl: rows of [N C BOXES 6] from CTL on: first voxel and size   values [N C BOXES]
//
// One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; D, H, W, C, BOXES, CTL, COUNT (unsigned).

KERNEL blank(T *y, const T *x, const float *ctl, const float *values) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned channel = i / (C * W * H * D) * C + i % C;
    const unsigned d = i / (C * W * H) % D, h = i / (C * W) % H, w = i / C % W;
    for (unsigned b = BOXES; b > 0; b--) {
        const unsigned box = channel * BOXES + b - 1;
        const float *r = ctl + CTL + 6 * (size_t)box;
        // Differences below 0 are large without a sign.
        if (d - (unsigned)r[0] < (unsigned)r[3] && h - (unsigned)r[1] < (unsigned)r[4] && w - (unsigned)r[2] < (unsigned)r[5]) {
            y[i] = stored<T>(values[box]);
            return;
        }
    }
    y[i] = x[i];
}
