// Adan: one update of COUNT weights w from gradients g with states m, v, n, p, in place
//
//   d = factor·g   e = d − p   p = d   m, v, n: moments of d, e, (d + BETA2·e)²
//   w = (w − rate·(m̂ + BETA2·v̂) / (√n̂ + EPSILON)) / (1 + rate·DECAY)
//
// ctl: rate 0, finite 4, factor 5, steps 7; in the first step there is no e: moments stay, w
// only shrinks. Gaps between weights are zero and stay zero. One invocation makes one weight.
// Dispatch: COUNT.
//
// Prelude: COUNT, GRID (u32); DECAY, BETA1, BETA2, BETA3, AWAY1, AWAY2, AWAY3 (1 − BETA),
// EPSILON (f32).

@group(0) @binding(0) var<storage, read_write> w: array<f32>;
@group(0) @binding(1) var<storage, read_write> m: array<f32>;
@group(0) @binding(2) var<storage, read_write> v: array<f32>;
@group(0) @binding(3) var<storage, read_write> n: array<f32>;
@group(0) @binding(4) var<storage, read_write> p: array<f32>;
@group(0) @binding(5) var<storage, read_write> ctl: array<f32>;
@group(0) @binding(6) var<storage, read_write> g: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT || ctl[4] == 0.0 {
        return;
    }
    let rate = ctl[0];
    let steps = ctl[7];
    let d = g[i] * ctl[5];
    let e = d - p[i];
    var weight = w[i];
    p[i] = d;
    if steps > 1.0 {
        let look = d + BETA2 * e;
        let first = BETA1 * m[i] + AWAY1 * d;
        let change = BETA2 * v[i] + AWAY2 * e;
        let second = BETA3 * n[i] + AWAY3 * look * look;
        m[i] = first;
        v[i] = change;
        n[i] = second;
        let mhat = first / (1.0 - pow32(BETA1, steps));
        let vhat = change / (1.0 - pow32(BETA2, steps));
        let nhat = second / (1.0 - pow32(BETA3, steps));
        let by = (mhat + BETA2 * vhat) / (sqrt(nhat) + EPSILON);
        weight -= select(0.0, rate * by, by != 0.0);
    }
    w[i] = weight / (1.0 + rate * DECAY);
}
