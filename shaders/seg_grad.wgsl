// SegGrad: the derivative of SegSums in the logits
//
//   logits, y [N D H W K]   labels u8 [N D·SD H·SH W·SW]   dsums [N K 5]   members [K 8]: a bit for each label
//   A = ∂Σp + t·∂Σpt   B = ∂Σce   r = γ·q·(1−q)^(γ−1)·log q − (1−q)^γ
//   ACT 0: y[j] = p[j]·(A[j] − Σ A[k]·p[k]) + B[class]·([j = class] − p[j])·r + B[class]·ε·([j = class] − 1/K), q = p[class]
//   ACT 1: y = A·p·(1−p) ± B·(1−q)·r, q = t ? p : 1 − p
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF, REGIONS (bool); D, H, W, K, SD, SH, SW, ACT, IGNORE (256:
// none), COUNT, WORDS, GRID (u32); GAMMA, SMOOTHING (ε) (f32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> logits: array<u32>;
@group(0) @binding(2) var<storage, read_write> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> dsums: array<f32>;
@group(0) @binding(4) var<storage, read_write> members: array<u32>;

fn logit(i: u32) -> f32 {
    return float_of(logits[word(i, T_HALF)], i, T_HALF);
}

// away is 1 − q.
fn slope_of_ce(q: f32, away: f32, log_q: f32) -> f32 {
    if GAMMA == 0.0 {
        return -1.0;
    }
    var near = 1.0;
    if GAMMA != 1.0 {
        near = pow32(away, GAMMA - 1.0);
    }
    return GAMMA * q * near * log_q - pow32(away, GAMMA);
}

fn wanted(k: u32, label: u32, class_: u32) -> bool {
    if REGIONS {
        return ((members[k * 8u + label / 32u] >> (label % 32u)) & 1u) == 1u;
    }
    return k == class_;
}

// A of class k.
fn cotangent(n: u32, k: u32, t: bool) -> f32 {
    let s = (n * K + k) * 5u;
    return dsums[s + 1u] + select(0.0, dsums[s], t);
}

fn element(i: u32) -> f32 {
    let k = i % K;
    let v = i / K;
    let x = v % W;
    let h = v / W % H;
    let d = v / (W * H) % D;
    let n = v / (W * H * D);
    let li = ((n * D * SD + d * SD + SD / 2u) * H * SH + h * SH + SH / 2u) * W * SW + x * SW + SW / 2u;
    let label = byte_of(labels[li / 4u], li);
    if label == IGNORE {
        return 0.0;
    }
    let class_ = select(label, 0u, label >= K);
    let t = wanted(k, label, class_);
    let a = cotangent(n, k, t);
    let base = v * K;
    let z = logit(i);
    if ACT == 1u {
        let e = exp32(-abs(z));
        let p = select(e, 1.0, z >= 0.0) / (1.0 + e);
        let away_p = select(1.0, e, z >= 0.0) / (1.0 + e);
        let side = select(-z, z, t);
        let q = select(e, 1.0, side >= 0.0) / (1.0 + e);
        let away = select(1.0, e, side >= 0.0) / (1.0 + e);
        let ce = dsums[(n * K + k) * 5u + 3u] * away * slope_of_ce(q, away, min(side, 0.0) - log32(1.0 + e));
        return a * p * away_p + select(-ce, ce, t);
    }
    var top = logit(base);
    for (var j = 1u; j < K; j++) {
        top = max(top, logit(base + j));
    }
    var all = 0.0;
    for (var j = 0u; j < K; j++) {
        all += exp32(logit(base + j) - top);
    }
    var mean = 0.0;
    for (var j = 0u; j < K; j++) {
        mean += cotangent(n, j, wanted(j, label, class_)) * (exp32(logit(base + j) - top) / all);
    }
    let p = exp32(z - top) / all;
    let zc = logit(base + class_) - top;
    let q = exp32(zc) / all;
    let b = dsums[(n * K + class_) * 5u + 3u];
    let ce = b * slope_of_ce(q, 1.0 - q, zc - log32(all));
    var dz = p * (a - mean) + ce * select(-p, 1.0 - p, k == class_);
    if SMOOTHING != 0.0 {
        dz += b * SMOOTHING * (select(0.0, 1.0, k == class_) - 1.0 / f32(K));
    }
    return dz;
}
