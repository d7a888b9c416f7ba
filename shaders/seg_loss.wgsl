// SegLoss: loss = before + WEIGHT·(CE·Σ ce / (MEAN·Σ valid) − DICE·mean((2Σpt + SMOOTH) / max(Σp + Σt + SMOOTH, 1e-8)))
//
//   sums, dsums [N K 5]   before, loss [1]   ctl   classes [K]
//
// dsums is the gradient of the loss times the loss scale, ctl[1]. The mean is
// over classes from FIRST on and samples; with BATCH their sums are added first.
// WEIGHED: Σ w·ce / (MEAN·Σ w·t) with the weights w of classes.
// One invocation makes all: there are few numbers. Dispatch: 1.
//
// Prelude: BATCH, HAS_BEFORE, WEIGHED (bool); N, K, FIRST, MEAN (u32); WEIGHT, CE, DICE,
// SMOOTH (f32).

@group(0) @binding(0) var<storage, read_write> loss: array<f32>;
@group(0) @binding(1) var<storage, read_write> dsums: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(3) var<storage, read_write> before: array<f32>;
@group(0) @binding(4) var<storage, read_write> ctl: array<f32>;
@group(0) @binding(5) var<storage, read_write> classes: array<f32>;

fn class_weight(k: u32) -> f32 {
    if WEIGHED {
        return classes[k];
    }
    return 1.0;
}

@compute @workgroup_size(1)
fn main() {
    let scale = ctl[1];
    var ce = 0.0;
    var valid = 0.0;
    for (var n = 0u; n < N; n++) {
        if !WEIGHED {
            valid += sums[n * K * 5u + 4u];
        }
        for (var k = 0u; k < K; k++) {
            let s = (n * K + k) * 5u;
            ce += class_weight(k) * sums[s + 3u];
            if WEIGHED {
                valid += class_weight(k) * sums[s + 2u];
            }
        }
    }
    var share = 0.0;
    if valid > 0.0 {
        share = WEIGHT * CE / (valid * f32(MEAN));
    }
    for (var i = 0u; i < N * K; i++) {
        dsums[5u * i] = 0.0;
        dsums[5u * i + 1u] = 0.0;
        dsums[5u * i + 2u] = 0.0;
        dsums[5u * i + 3u] = share * class_weight(i % K) * scale;
        dsums[5u * i + 4u] = 0.0;
    }
    let size = select(1u, N, BATCH); // samples of a group
    let part = WEIGHT * DICE / f32((N / size) * (K - FIRST));
    var dice = 0.0;
    for (var first = 0u; first < N; first += size) {
        for (var k = FIRST; k < K; k++) {
            var pt = 0.0;
            var p = 0.0;
            var t = 0.0;
            for (var n = first; n < first + size; n++) {
                let s = (n * K + k) * 5u;
                pt += sums[s];
                p += sums[s + 1u];
                t += sums[s + 2u];
            }
            let over = 2.0 * pt + SMOOTH;
            let under = p + t + SMOOTH;
            let below = max(under, 1e-8);
            dice += over / below;
            for (var n = first; n < first + size; n++) {
                let s = (n * K + k) * 5u;
                dsums[s] = -(part * 2.0 / below * scale);
                if under > 1e-8 {
                    dsums[s + 1u] = part * over / below / below * scale;
                }
            }
        }
    }
    var total = share * ce - part * dice;
    if HAS_BEFORE {
        total += before[0];
    }
    loss[0] = total;
}
