// Intensity: what KIND does with a value v and its parameter a; a = 0 changes nothing
//
//   x, y T [N V C]   ctl: a of [N C] from CTL on, seed at SEED   whole, powers [N C 4]: moments of x and of gamma's powers
//   0 noise: v + a·normal   1 brightness: v·a   2 shift: v + a   3 contrast: (v − mean)·a + mean within [min, max]
//   4 v·a within [min, max]   5 as 3 without bounds   6 gamma, 7 on −v: the power a of v's place in [min, max], with mean and deviation as before
//
// normal = √(−2·ln u)·cos(2π·t) of two words of Philox 2×32-10 (Salmon et al.
// 2011). One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; INVERT (bool); KIND, V, C, CTL, SEED, FIRST, COUNT (unsigned).

// The power of the place of e in the range of its channel; INVERT: of −e.
DEVICE float raised(float e, float low, float high, float a) {
    const float place = (INVERT ? high - e : e - low) / (high - low);
    return power(fminf(place, 1.0f), a);
}

DEVICE float normal(unsigned i, unsigned key, unsigned stream) {
    unsigned a = i, b = stream;
    for (unsigned round_ = 0; round_ < 10; round_++) {
        const unsigned high = high_word(a, 0xD256D193u);
        const unsigned low = a * 0xD256D193u;
        a = high ^ key ^ b;
        b = low;
        key += 0x9E3779B9u;
    }
    const float u = (float)((a >> 8) + 1) * 5.9604644775390625e-8f; // 2^-24
    const float t = (float)(b >> 8) * 5.9604644775390625e-8f;
    return sqrtf(-2.0f * logf(u)) * cos_turn(t);
}

KERNEL intensity(T *y, const T *x, const float *ctl, const float *whole, const float *powers) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned channel = i / (V * C) * C + i % C;
    const float v = float_of(x[i]), a = ctl[CTL + channel];
    if (a == 0.0f) {
        y[i] = x[i];
        return;
    }
    if (KIND == 0) {
        y[i] = stored<T>(v + a * normal(i + FIRST, (unsigned)ctl[SEED], (unsigned)ctl[SEED + 1]));
        return;
    }
    if (KIND == 1) {
        y[i] = stored<T>(v * a);
        return;
    }
    if (KIND == 2) {
        y[i] = stored<T>(v + a);
        return;
    }
    const float *m = whole + 4 * channel;
    const float mean = m[0], low = m[2], high = m[3];
    if (KIND == 3) {
        y[i] = stored<T>(fminf(fmaxf((v - mean) * a + mean, low), high));
        return;
    }
    if (KIND == 5) {
        y[i] = stored<T>((v - mean) * a + mean);
        return;
    }
    if (KIND == 4) {
        y[i] = stored<T>(fminf(fmaxf(v * a, low), high));
        return;
    }
    if (low == high) {
        y[i] = x[i];
        return;
    }
    const float *p = powers + 4 * channel;
    const float r = (raised(v, low, high, a) - p[0]) * (sqrtf(m[1]) / sqrtf(p[1]));
    y[i] = stored<T>(INVERT ? mean - r : mean + r);
}
