// SegGrad: the derivative of SegSums in the logits
//
//   logits, y T [N D H W K]   labels u8 [N D·SD H·SH W·SW]   dsums [N K 5]   members [K 8]: a bit for each label
//   A = ∂Σp + t·∂Σpt   B = ∂Σce   r = γ·q·(1−q)^(γ−1)·log q − (1−q)^γ
//   ACT 0: y[j] = p[j]·(A[j] − Σ A[k]·p[k]) + B[class]·([j = class] − p[j])·r + B[class]·ε·([j = class] − 1/K), q = p[class]
//   ACT 1: y = A·p·(1−p) ± B·(1−q)·r, q = t ? p : 1 − p
//
// One thread makes the K elements of a voxel. Threads: COUNT = N·D·H·W.
//
// Prelude: T; REGIONS (bool); D, H, W, K, SD, SH, SW, ACT, IGNORE (256: none),
// COUNT (unsigned); GAMMA, SMOOTHING (ε) (float).

// r, where away is 1 − q.
DEVICE float slope_of_ce(float q, float away, float log_q) {
    if (GAMMA == 0.0f) {
        return -1.0f;
    }
    const float near = GAMMA == 1.0f ? 1.0f : power(away, GAMMA - 1.0f);
    return GAMMA * q * near * log_q - power(away, GAMMA);
}

DEVICE bool wanted(const unsigned *members, unsigned k, unsigned label, unsigned class_) {
    return REGIONS ? (members[k * 8 + label / 32] >> (label % 32) & 1u) == 1u : k == class_;
}

// A of a class, whose derivatives are d.
DEVICE float cotangent(const float *d, bool t) { return d[1] + (t ? d[0] : 0.0f); }

DEVICE float sigmoid_grad(float z, bool t, const float *d) {
    const float e = expf(-fabsf(z)), all = 1.0f + e;
    const float p = (z >= 0.0f ? 1.0f : e) / all, away_p = (z >= 0.0f ? e : 1.0f) / all;
    const float side = t ? z : -z;
    const float q = (side >= 0.0f ? 1.0f : e) / all, away = (side >= 0.0f ? e : 1.0f) / all;
    const float ce = d[3] * away * slope_of_ce(q, away, fminf(side, 0.0f) - logf(all));
    return cotangent(d, t) * p * away_p + (t ? ce : -ce);
}

KERNEL seg_grad(T *y, const T *logits, const u8 *labels, const float *dsums, const unsigned *members) {
    const unsigned v = thread();
    if (v >= COUNT) {
        return;
    }
    const unsigned x = v % W, h = v / W % H, d = v / (W * H) % D, n = v / (W * H * D);
    const unsigned li = ((n * D * SD + d * SD + SD / 2) * H * SH + h * SH + SH / 2) * W * SW + x * SW + SW / 2;
    const unsigned label = labels[li];
    const T *z = logits + (size_t)v * K;
    const float *ds = dsums + n * K * 5;
    y += (size_t)v * K;
    if (label == IGNORE) {
        for (unsigned j = 0; j < K; j++) {
            y[j] = stored<T>(0.0f);
        }
        return;
    }
    const unsigned class_ = label >= K ? 0 : label;
    if (ACT == 1) {
        for (unsigned j = 0; j < K; j++) {
            y[j] = stored<T>(sigmoid_grad(float_of(z[j]), wanted(members, j, label, class_), ds + 5 * j));
        }
        return;
    }
    float top = float_of(z[0]), all = 0.0f, mean = 0.0f;
    for (unsigned j = 1; j < K; j++) {
        top = fmaxf(top, float_of(z[j]));
    }
    for (unsigned j = 0; j < K; j++) {
        all += expf(float_of(z[j]) - top);
    }
    for (unsigned j = 0; j < K; j++) {
        mean += cotangent(ds + 5 * j, wanted(members, j, label, class_)) * (expf(float_of(z[j]) - top) / all);
    }
    const float zc = float_of(z[class_]) - top;
    const float q = expf(zc) / all;
    const float b = ds[5 * class_ + 3];
    const float ce = b * slope_of_ce(q, 1.0f - q, zc - logf(all));
    for (unsigned j = 0; j < K; j++) {
        const float p = expf(float_of(z[j]) - top) / all;
        const float a = cotangent(ds + 5 * j, wanted(members, j, label, class_));
        float dz = p * (a - mean) + ce * (j == class_ ? 1.0f - p : -p);
        if (SMOOTHING != 0.0f) {
            dz += b * SMOOTHING * ((j == class_ ? 1.0f : 0.0f) - 1.0f / (float)K);
        }
        y[j] = stored<T>(dz);
    }
}
