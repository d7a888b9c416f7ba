// Blur: y[i] = Σ g[j]·x[i+j] / Σ g[j] along one axis   g[j] = exp(−j²/2σ²)   |j| ≤ r = min(RADIUS, ⌊(6σ + ½)/2⌋)
//
//   x, y T [N … SIZE STRIDE]: the axis and what is behind it, channels last   ctl: σ of [N C] from CTL on, 0: unchanged
//
// Indices are reflected. One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; PER (elements of a sample), SIZE, STRIDE, C, RADIUS, CTL, COUNT
// (unsigned).

DEVICE unsigned reflected(int i) {
    if (SIZE == 1) {
        return 0;
    }
    while (i < 0 || i >= (int)SIZE) {
        i = i < 0 ? -i : 2 * ((int)SIZE - 1) - i;
    }
    return (unsigned)i;
}

KERNEL blur(T *y, const T *x, const float *ctl) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const float sigma = ctl[CTL + i / PER * C + i % C];
    if (sigma == 0.0f) {
        y[i] = x[i];
        return;
    }
    const int r = min((int)RADIUS, round_times(sigma, 6) / 2);
    const unsigned o = i / STRIDE % SIZE;
    const unsigned base = i - o * STRIDE;
    float top = 0.0f, bottom = 0.0f;
    for (int j = -r; j <= r; j++) {
        const float g = expf(-(float)(j * j) / (2.0f * sigma * sigma));
        top += g * float_of(x[base + reflected((int)o + j) * STRIDE]);
        bottom += g;
    }
    y[i] = stored<T>(top / bottom);
}
