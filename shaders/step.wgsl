// Step: one update of COUNT weights w from gradients g with states m (and v), in place
//
//   RULE 0: d = g + DECAY·w; m = MOMENTUM·m + d; w −= rate·(d + MOMENTUM·m), or rate·m without NESTEROV
//   RULE 1: d = g + DECAY·w; m, v moments of d; w −= rate·m̂/(√v̂ + EPSILON)
//   RULE 2: w −= rate·DECAY·w; then as 1 with d = g
//
// ctl: rate 0, finite 4, factor of g 5, steps 7. Gaps between weights are zero
// and stay zero. One invocation makes one weight. Dispatch: COUNT.
//
// Prelude: NESTEROV (bool); RULE, COUNT, GRID (u32); MOMENTUM, DECAY, BETA1,
// BETA2, AWAY1, AWAY2 (1 − BETA), EPSILON (f32).

@group(0) @binding(0) var<storage, read_write> w: array<f32>;
@group(0) @binding(1) var<storage, read_write> m: array<f32>;
@group(0) @binding(2) var<storage, read_write> v: array<f32>;
@group(0) @binding(3) var<storage, read_write> ctl: array<f32>;
@group(0) @binding(4) var<storage, read_write> g: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT || ctl[4] == 0.0 {
        return;
    }
    let rate = ctl[0];
    var d = g[i] * ctl[5];
    var weight = w[i];
    if RULE == 0u {
        d += DECAY * weight;
        let moment = MOMENTUM * m[i] + d;
        m[i] = moment;
        var by = moment;
        if NESTEROV {
            by = d + MOMENTUM * moment;
        }
        w[i] = weight - rate * by;
        return;
    }
    if RULE == 2u {
        weight -= rate * DECAY * weight;
    } else {
        d += DECAY * weight;
    }
    let first = BETA1 * m[i] + AWAY1 * d;
    let second = BETA2 * v[i] + AWAY2 * d * d;
    m[i] = first;
    v[i] = second;
    let mhat = first / (1.0 - pow32(BETA1, ctl[7]));
    let vhat = second / (1.0 - pow32(BETA2, ctl[7]));
    let by = mhat / (sqrt(vhat) + EPSILON);
    w[i] = weight - select(0.0, rate * by, by != 0.0);
}
