// Local: k = (fD[d]·fH[h]·fW[w] − from)·scale; y = x + a·k, or with GAMMA
// y = min + (max − min)·((1 − k)·p + k·pᵃ) of the place p of x in [min, max] of its channel
//
//   x, y T [N D H W C]   ctl: a row of [N C ROW] from CTL on: a, from, scale, fD, fH, fW; a = 0: unchanged
//   whole [N C 4]: moments of x
//
// One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; GAMMA (bool); D, H, W, C, ROW, CTL, COUNT (unsigned).

KERNEL local(T *y, const T *x, const float *ctl, const float *whole) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned channel = i / (C * W * H * D) * C + i % C;
    const float *row = ctl + CTL + (size_t)channel * ROW;
    const float a = row[0], v = float_of(x[i]);
    const float low = GAMMA ? whole[4 * channel + 2] : 0.0f, high = GAMMA ? whole[4 * channel + 3] : 1.0f;
    if (a == 0.0f || low == high) {
        y[i] = x[i];
        return;
    }
    const float *f = row + 3;
    const float k = (f[i / (C * W * H) % D] * f[D + i / (C * W) % H] * f[D + H + i / C % W] - row[1]) * row[2];
    if (!GAMMA) {
        y[i] = stored<T>(v + a * k);
        return;
    }
    const float p = fminf((v - low) / (high - low), 1.0f);
    y[i] = stored<T>(low + (high - low) * ((1.0f - k) * p + k * power(p, a)));
}
