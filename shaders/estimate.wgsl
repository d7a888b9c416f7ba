// Estimate: mean = m, variance = max(0, 1/r² − EPS)·UNBIASED
//
//   mean, variance [C]   stats [N C 2]: m, r = 1/√(v + EPS), of which those of the first sample are read
//
// UNBIASED is n/(n−1). One invocation makes one channel. Dispatch: COUNT = C.
//
// Prelude: COUNT, GRID (u32); EPS, UNBIASED (f32).

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
    mean[c] = stats[2u * c];
    variance[c] = max(0.0, 1.0 / (r * r) - EPS) * UNBIASED;
}
