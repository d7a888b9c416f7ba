// GammaMoments: moments, see there, of the powers that Intensity's Gamma makes
//
//   x T [N V C]   ctl: powers of [N C] from CTL on   whole [N C 4]: moments of x   parts [N BLOCKS C 4]
//
// One thread makes those of one block. Threads: COUNT = N·BLOCKS·C.
//
// Prelude: T; INVERT (bool); V, C, BLOCK, BLOCKS, CTL, COUNT (unsigned).

// The power of the place of e in the range of its channel; INVERT: of −e.
DEVICE float raised(float e, float low, float high, float a) {
    const float place = (INVERT ? high - e : e - low) / (high - low);
    return power(fminf(place, 1.0f), a);
}

KERNEL gamma_moments(float *parts, const T *x, const float *ctl, const float *whole) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned c = i % C, n = i / (C * BLOCKS);
    const float a = ctl[CTL + n * C + c];
    const float low = whole[4 * (n * C + c) + 2], high = whole[4 * (n * C + c) + 3];
    const unsigned first = i / C % BLOCKS * BLOCK;
    const unsigned last = min(first + BLOCK, V);
    const T *from = x + (size_t)n * V * C + c;
    float mean = 0.0f, squares = 0.0f;
    if (a != 0.0f && low < high) {
        float sum = 0.0f;
        for (unsigned v = first; v < last; v++) {
            sum += raised(float_of(from[(size_t)v * C]), low, high, a);
        }
        mean = sum / (float)(last - first);
        for (unsigned v = first; v < last; v++) {
            const float e = raised(float_of(from[(size_t)v * C]), low, high, a) - mean;
            squares += e * e;
        }
    }
    parts[4 * i] = mean;
    parts[4 * i + 1] = squares;
    parts[4 * i + 2] = 0.0f;
    parts[4 * i + 3] = 1.0f;
}
