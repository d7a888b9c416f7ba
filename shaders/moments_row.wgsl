// MomentsRow: mean and variance of channels over all samples, in a device's row
//
//   moments [N C 4]: mean, variance of a sample, see moments_fold   parts [WORLD C 2]: mean, variance in row RANK, else 0
//
// One invocation makes those of one row and channel. Dispatch: COUNT = WORLD·C.
//
// Prelude: N, C, RANK, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> moments: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    parts[2u * i] = 0.0;
    parts[2u * i + 1u] = 0.0;
    if i / C != RANK {
        return;
    }
    let c = i % C;
    let origin = moments[c].x;
    var sum = 0.0;
    for (var n = 0u; n < N; n++) {
        sum += moments[n * C + c].x - origin;
    }
    let mean = origin + sum / f32(N);
    var squares = 0.0;
    for (var n = 0u; n < N; n++) {
        let m = moments[n * C + c];
        squares += m.y + (m.x - mean) * (m.x - mean);
    }
    parts[2u * i] = mean;
    parts[2u * i + 1u] = squares / f32(N);
}
