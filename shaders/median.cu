// Median: the median of a window of s voxels along each axis that has more than one
//
//   x, y T [N D H W C]   ctl: s of [N C] from CTL on, at most MOST; 0: unchanged
//
// The window goes from o − ⌊s/2⌋ to o + ⌈s/2⌉ − 1; indices are reflected, the border is repeated.
// The value is found bit by bit, the highest first: a bit is set if no more than half of
// the window is below what it makes. One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; D, H, W, C, MOST, CTL, COUNT (unsigned).

// Bits in the order of the values.
DEVICE unsigned key_of(float v) {
    const unsigned b = bits_of(v);
    return b >> 31 ? ~b : b | 0x80000000u;
}

DEVICE unsigned repeated(int i, int n) {
    while (i < 0 || i >= n) {
        i = i < 0 ? -1 - i : 2 * n - 1 - i;
    }
    return (unsigned)i;
}

KERNEL median(T *y, const T *x, const float *ctl) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned c = i % C, n = i / (C * W * H * D);
    const unsigned s = min((unsigned)ctl[CTL + n * C + c], MOST);
    if (s == 0) {
        y[i] = x[i];
        return;
    }
    const unsigned sd = D > 1 ? s : 1, sh = H > 1 ? s : 1, sw = W > 1 ? s : 1;
    const int d0 = (int)(i / (C * W * H) % D) - (int)(sd / 2), h0 = (int)(i / (C * W) % H) - (int)(sh / 2), w0 = (int)(i / C % W) - (int)(sw / 2);
    const unsigned half = sd * sh * sw / 2;
    unsigned key = 0;
    for (unsigned bit = 0x80000000u; bit > 0; bit >>= 1) {
        unsigned below = 0;
        for (unsigned a = 0; a < sd; a++) {
            const unsigned plane = (n * D + repeated(d0 + (int)a, D)) * H;
            for (unsigned b = 0; b < sh; b++) {
                const unsigned row = (plane + repeated(h0 + (int)b, H)) * W;
                for (unsigned e = 0; e < sw; e++) {
                    below += key_of(float_of(x[(row + repeated(w0 + (int)e, W)) * C + c])) < (key | bit) ? 1 : 0;
                }
            }
        }
        key = below <= half ? key | bit : key;
    }
    y[i] = stored<T>(float_from(key >> 31 ? key ^ 0x80000000u : ~key));
}
