// Adan: one update of COUNT weights w from gradients g with states m, v, n, p, in place
//
//   d = factor·g   e = d − p   p = d   m, v, n: moments of d, e, (d + BETA2·e)²
//   w = (w − rate·(m̂ + BETA2·v̂) / (√n̂ + EPSILON)) / (1 + rate·DECAY)
//
// ctl: rate 0, finite 4, factor 5, steps 7; in the first step there is no e: moments stay, w
// only shrinks. Gaps between weights are zero and stay zero. One thread makes one weight.
// Threads: COUNT.
//
// Prelude: COUNT (unsigned); DECAY, BETA1, BETA2, BETA3, AWAY1, AWAY2, AWAY3 (1 − BETA),
// EPSILON (float).

KERNEL adan(float *w, float *m, float *v, float *n, float *p, const float *ctl, const float *g) {
    const unsigned i = thread();
    if (i >= COUNT || ctl[4] == 0.0f) {
        return;
    }
    const float rate = ctl[0], steps = ctl[7];
    const float d = g[i] * ctl[5];
    const float e = d - p[i];
    float weight = w[i];
    p[i] = d;
    if (steps > 1.0f) {
        const float look = d + BETA2 * e;
        m[i] = BETA1 * m[i] + AWAY1 * d;
        v[i] = BETA2 * v[i] + AWAY2 * e;
        n[i] = BETA3 * n[i] + AWAY3 * look * look;
        const float mhat = m[i] / (1.0f - power(BETA1, steps));
        const float vhat = v[i] / (1.0f - power(BETA2, steps));
        const float nhat = n[i] / (1.0f - power(BETA3, steps));
        const float by = (mhat + BETA2 * vhat) / (sqrtf(nhat) + EPSILON);
        weight -= by == 0.0f ? 0.0f : rate * by;
    }
    w[i] = weight / (1.0f + rate * DECAY);
}
