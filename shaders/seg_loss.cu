// SegLoss: loss = before + WEIGHT·(CE·Σ ce / (MEAN·Σ valid) − DICE·mean((2Σpt + SMOOTH) / max(Σp + Σt + SMOOTH, 1e-8)))
//
//   sums, dsums [N K 5]   before, loss [1]   ctl   classes [K]
//
// dsums is the gradient of the loss times the loss scale, ctl[1]. The mean is over
// classes from FIRST on and samples; with BATCH their sums are added first. WEIGHED:
// Σ w·ce / (MEAN·Σ w·t) with the weights w of classes. One thread makes all: there
// are few numbers. Threads: 1.
//
// Prelude: BATCH, HAS_BEFORE, WEIGHED (bool); N, K, FIRST, MEAN (unsigned); WEIGHT, CE,
// DICE, SMOOTH (float).

KERNEL seg_loss(float *loss, float *dsums, const float *sums, const float *before, const float *ctl,
                const float *classes) {
    const float scale = ctl[1];
    float ce = 0.0f, valid = 0.0f;
    for (unsigned n = 0; n < N; n++) {
        valid += WEIGHED ? 0.0f : sums[n * K * 5 + 4];
        for (unsigned k = 0; k < K; k++) {
            const float *s = sums + (n * K + k) * 5;
            const float w = WEIGHED ? classes[k] : 1.0f;
            ce += w * s[3];
            valid += WEIGHED ? w * s[2] : 0.0f;
        }
    }
    const float share = valid > 0.0f ? WEIGHT * CE / (valid * (float)MEAN) : 0.0f;
    for (unsigned i = 0; i < N * K; i++) {
        dsums[5 * i] = 0.0f;
        dsums[5 * i + 1] = 0.0f;
        dsums[5 * i + 2] = 0.0f;
        dsums[5 * i + 3] = share * (WEIGHED ? classes[i % K] : 1.0f) * scale;
        dsums[5 * i + 4] = 0.0f;
    }
    const unsigned size = BATCH ? N : 1; // samples of a group
    const float part = WEIGHT * DICE / (float)(N / size * (K - FIRST));
    float dice = 0.0f;
    for (unsigned first = 0; first < N; first += size) {
        for (unsigned k = FIRST; k < K; k++) {
            float pt = 0.0f, p = 0.0f, t = 0.0f;
            for (unsigned n = first; n < first + size; n++) {
                const float *s = sums + (n * K + k) * 5;
                pt += s[0];
                p += s[1];
                t += s[2];
            }
            const float over = 2.0f * pt + SMOOTH, under = p + t + SMOOTH;
            const float below = fmaxf(under, 1e-8f);
            dice += over / below;
            for (unsigned n = first; n < first + size; n++) {
                float *d = dsums + (n * K + k) * 5;
                d[0] = -(part * 2.0f / below * scale);
                if (under > 1e-8f) {
                    d[1] = part * over / below / below * scale;
                }
            }
        }
    }
    loss[0] = share * ce - part * dice + (HAS_BEFORE ? before[0] : 0.0f);
}
