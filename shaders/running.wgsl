// Running: statistics of running ones
//
//   mean, variance [C]   stats [N C 2]: mean, 1/√(variance + EPS)
//
// One invocation makes those of one sample and channel. Dispatch: COUNT = N·C.
//
// Prelude: C, COUNT, GRID (u32); EPS (f32).

@group(0) @binding(0) var<storage, read_write> stats: array<f32>;
@group(0) @binding(1) var<storage, read_write> mean: array<f32>;
@group(0) @binding(2) var<storage, read_write> variance: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    stats[2u * i] = mean[i % C];
    stats[2u * i + 1u] = 1.0 / sqrt(variance[i % C] + EPS);
}
