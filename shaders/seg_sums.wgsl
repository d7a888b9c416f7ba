// SegSums: Σ p·t, Σ p, Σ t, Σ cross entropy, voxels counted, of each class
//
//   logits [N D H W K]   labels u8 [N D·SD H·SH W·SW]   members [K 8]: a bit for each label   parts [SPLITS N K 5]
//   ACT 0: p = softmax, cross entropy −(1 − p[t])^γ·log p[t] + ε·(z[t] − mean(z)) of the class of the label
//   ACT 1: p = sigmoid, −(1 − q)^γ·log q, q = t ? p : 1 − p
//   ACT 2: p = 1 for the first largest logit, with REGIONS for each above 0
//
// One invocation sums one class over the rows of a split; fold adds the parts.
// Dispatch: COUNT = SPLITS·N·K.
//
// Prelude: T_HALF, REGIONS (bool); N, D, H, W, K, SD, SH, SW, ACT, IGNORE (256:
// none), SPLITS, COUNT, GRID (u32); GAMMA, SMOOTHING (ε) (f32).

@group(0) @binding(0) var<storage, read_write> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> logits: array<u32>;
@group(0) @binding(2) var<storage, read_write> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> members: array<u32>;

fn logit(i: u32) -> f32 {
    return float_of(logits[word(i, T_HALF)], i, T_HALF);
}

fn focus(p: f32) -> f32 {
    if GAMMA == 0.0 {
        return 1.0;
    }
    return pow32(1.0 - p, GAMMA);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let k = i % K;
    let n = i / K % N;
    var pt = 0.0;
    var ps = 0.0;
    var ts = 0.0;
    var ce = 0.0;
    var valid = 0.0;
    for (var row = i / (K * N); row < D * H; row += SPLITS) {
        let ld = row / H * SD + SD / 2u;
        let lh = row % H * SH + SH / 2u;
        for (var x = 0u; x < W; x++) {
            let li = ((n * D * SD + ld) * H * SH + lh) * W * SW + x * SW + SW / 2u;
            let label = byte_of(labels[li / 4u], li);
            if label == IGNORE {
                continue;
            }
            let class_ = select(label, 0u, label >= K);
            var t = k == class_;
            if REGIONS {
                t = ((members[k * 8u + label / 32u] >> (label % 32u)) & 1u) == 1u;
            }
            let base = ((n * D * H + row) * W + x) * K;
            let z = logit(base + k);
            var p = 0.0;
            if ACT == 1u {
                let e = exp32(-abs(z));
                p = select(e, 1.0, z >= 0.0) / (1.0 + e);
                let wanted = select(-z, z, t);
                let q = select(e, 1.0, wanted >= 0.0) / (1.0 + e);
                ce -= focus(q) * (min(wanted, 0.0) - log32(1.0 + e));
            } else {
                var top = logit(base);
                var best = 0u;
                for (var j = 1u; j < K; j++) {
                    let v = logit(base + j);
                    if v > top {
                        top = v;
                        best = j;
                    }
                }
                if ACT == 2u {
                    p = select(0.0, 1.0, best == k);
                    if REGIONS {
                        p = select(0.0, 1.0, z > 0.0);
                    }
                } else {
                    var all = 0.0;
                    for (var j = 0u; j < K; j++) {
                        all += exp32(logit(base + j) - top);
                    }
                    p = exp32(z - top) / all;
                    if k == class_ {
                        ce -= focus(p) * (z - top - log32(all));
                        if SMOOTHING != 0.0 {
                            var mean = 0.0;
                            for (var j = 0u; j < K; j++) {
                                mean += logit(base + j) / f32(K);
                            }
                            ce += SMOOTHING * (z - mean);
                        }
                    }
                }
            }
            if t {
                pt += p;
                ts += 1.0;
            }
            ps += p;
            valid += 1.0;
        }
    }
    parts[5u * i] = pt;
    parts[5u * i + 1u] = ps;
    parts[5u * i + 2u] = ts;
    parts[5u * i + 3u] = ce;
    parts[5u * i + 4u] = valid;
}
