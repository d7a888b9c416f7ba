// SegSums: Σ p·t, Σ p, Σ t, Σ cross entropy, voxels counted, of each class
//
//   logits T [N D H W K]   labels u8 [N D·SD H·SH W·SW]   members [K 8]: a bit for each label   parts [SPLITS N K 5]
//   ACT 0: p = softmax, cross entropy −(1 − p[t])^γ·log p[t] + ε·(z[t] − mean(z)) of the class of the label
//   ACT 1: p = sigmoid, −(1 − q)^γ·log q, q = t ? p : 1 − p
//   ACT 2: p = 1 for the first largest logit, with REGIONS for each above 0
//
// One thread sums one class over the rows of a split; fold adds the parts.
// Threads: COUNT = SPLITS·N·K.
//
// Prelude: T; REGIONS (bool); N, D, H, W, K, SD, SH, SW, ACT, IGNORE (256: none),
// SPLITS, COUNT (unsigned); GAMMA, SMOOTHING (ε) (float).

DEVICE float focus(float p) { return GAMMA == 0.0f ? 1.0f : power(1.0f - p, GAMMA); }

// The sums of a class.
struct Sums {
    float pt, p, t, ce, valid;
};

// The probability and the cross entropy of class k from the logits z of a voxel.
DEVICE void softmax(const T *z, unsigned k, unsigned wanted, float &p, float &ce) {
    float top = float_of(z[0]), all = 0.0f;
    for (unsigned j = 1; j < K; j++) {
        top = fmaxf(top, float_of(z[j]));
    }
    for (unsigned j = 0; j < K; j++) {
        all += expf(float_of(z[j]) - top);
    }
    const float own = float_of(z[k]) - top;
    p = expf(own) / all;
    ce = k == wanted ? -focus(p) * (own - logf(all)) : 0.0f;
    if (SMOOTHING != 0.0f && k == wanted) {
        float mean = 0.0f;
        for (unsigned j = 0; j < K; j++) {
            mean += float_of(z[j]) / (float)K;
        }
        ce += SMOOTHING * (float_of(z[k]) - mean);
    }
}

DEVICE void sigmoid(float z, bool t, float &p, float &ce) {
    const float e = expf(-fabsf(z));
    const float wanted = t ? z : -z;
    p = (z >= 0.0f ? 1.0f : e) / (1.0f + e);
    ce = -focus((wanted >= 0.0f ? 1.0f : e) / (1.0f + e)) * (fminf(wanted, 0.0f) - logf(1.0f + e));
}

// 1 for the class that the logits choose.
DEVICE float hard(const T *z, unsigned k) {
    if (REGIONS) {
        return float_of(z[k]) > 0.0f ? 1.0f : 0.0f;
    }
    unsigned best = 0;
    for (unsigned j = 1; j < K; j++) {
        best = float_of(z[j]) > float_of(z[best]) ? j : best;
    }
    return best == k ? 1.0f : 0.0f;
}

KERNEL seg_sums(float *parts, const T *logits, const u8 *labels, const unsigned *members) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned k = i % K, n = i / K % N;
    Sums s = {0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    for (unsigned row = i / (K * N); row < D * H; row += SPLITS) {
        const unsigned ld = row / H * SD + SD / 2, lh = row % H * SH + SH / 2;
        const u8 *line = labels + (size_t)((n * D * SD + ld) * H * SH + lh) * W * SW + SW / 2;
        for (unsigned x = 0; x < W; x++) {
            const unsigned label = line[x * SW];
            if (label == IGNORE) {
                continue;
            }
            const unsigned wanted = label >= K ? 0 : label;
            const bool t = REGIONS ? (members[k * 8 + label / 32] >> (label % 32) & 1u) == 1u : k == wanted;
            const T *z = logits + (size_t)((n * D * H + row) * W + x) * K;
            float p = 0.0f, ce = 0.0f;
            if (ACT == 0) {
                softmax(z, k, wanted, p, ce);
            } else if (ACT == 1) {
                sigmoid(float_of(z[k]), t, p, ce);
            } else {
                p = hard(z, k);
            }
            s.pt += t ? p : 0.0f;
            s.p += p;
            s.t += t ? 1.0f : 0.0f;
            s.ce += ce;
            s.valid += 1.0f;
        }
    }
    parts[5 * i] = s.pt;
    parts[5 * i + 1] = s.p;
    parts[5 * i + 2] = s.t;
    parts[5 * i + 3] = s.ce;
    parts[5 * i + 4] = s.valid;
}
