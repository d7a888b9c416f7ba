// Track: mean += MOMENTUM·(m − mean), variance += MOMENTUM·(v·UNBIASED − variance)
//
//   mean, variance [C]   stats [N C 2]: m, r = 1/√(v + EPS), of which those of the first sample are read
//
// v = max(0, 1/r² − EPS). UNBIASED is n/(n−1). One invocation makes one channel.
// Dispatch: COUNT = C.
//
// Prelude: COUNT, GRID (u32); EPS, MOMENTUM, UNBIASED (f32).

@group(0) @binding(0) var<storage, read_write> mean: array<f32>;
@group(0) @binding(1) var<storage, read_write> variance: array<f32>;
@group(0) @binding(2) var<storage, read_write> stats: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x + (first_row + id.y) * GRID;
    if c >= COUNT {
        return;
    }
    let r = stats[2u * c + 1u];
    let v = max(0.0, 1.0 / (r * r) - EPS);
    mean[c] += MOMENTUM * (stats[2u * c] - mean[c]);
    variance[c] += MOMENTUM * (v * UNBIASED - variance[c]);
}
