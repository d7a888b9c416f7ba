// Step: one update of COUNT weights w from gradients g with states m (and v), in place
//
//   RULE 0: d = g + DECAY·w; m = MOMENTUM·m + d; w −= rate·(d + MOMENTUM·m), or rate·m without NESTEROV
//   RULE 1: d = g + DECAY·w; m, v moments of d; w −= rate·m̂/(√v̂ + EPSILON)
//   RULE 2: w −= rate·DECAY·w; then as 1 with d = g
//
// ctl: rate 0, finite 4, factor of g 5, steps 7. Gaps between weights are zero and
// stay zero. One thread makes one weight. Threads: COUNT.
//
// Prelude: NESTEROV (bool); RULE, COUNT (unsigned); MOMENTUM, DECAY, BETA1, BETA2,
// AWAY1, AWAY2 (1 − BETA), EPSILON (float).

KERNEL step(float *w, float *m, float *v, const float *ctl, const float *g) {
    const unsigned i = thread();
    if (i >= COUNT || ctl[4] == 0.0f) {
        return;
    }
    const float rate = ctl[0];
    float d = g[i] * ctl[5], weight = w[i];
    if (RULE == 0) {
        d += DECAY * weight;
        const float moment = MOMENTUM * m[i] + d;
        m[i] = moment;
        w[i] = weight - rate * (NESTEROV ? d + MOMENTUM * moment : moment);
        return;
    }
    if (RULE == 2) {
        weight -= rate * DECAY * weight;
    } else {
        d += DECAY * weight;
    }
    const float first = BETA1 * m[i] + AWAY1 * d;
    const float second = BETA2 * v[i] + AWAY2 * d * d;
    m[i] = first;
    v[i] = second;
    const float mhat = first / (1.0f - power(BETA1, ctl[7]));
    const float vhat = second / (1.0f - power(BETA2, ctl[7]));
    const float by = mhat / (sqrtf(vhat) + EPSILON);
    w[i] = weight - (by == 0.0f ? 0.0f : rate * by);
}
