// Track: mean += MOMENTUM·(m − mean), variance += MOMENTUM·(v − variance)
//
//   mean, variance, m, v [C]
//
// One invocation makes one channel. Dispatch: COUNT = C.
//
// Prelude: COUNT, GRID (u32); MOMENTUM (f32).

@group(0) @binding(0) var<storage, read_write> mean: array<f32>;
@group(0) @binding(1) var<storage, read_write> variance: array<f32>;
@group(0) @binding(2) var<storage, read_write> m: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x + (first_row + id.y) * GRID;
    if c >= COUNT {
        return;
    }
    mean[c] += MOMENTUM * (m[c] - mean[c]);
    variance[c] += MOMENTUM * (v[c] - variance[c]);
}
