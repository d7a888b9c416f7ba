// Merged: statistics from the moments of devices that have as many values each
//
//   parts [WORLD C 2]: mean, variance   stats [N C 2]: mean, 1/√(variance + EPS)
//
// One invocation makes those of one sample and channel. Dispatch: COUNT = N·C.
//
// Prelude: C, WORLD, COUNT, GRID (u32); EPS (f32).

@group(0) @binding(0) var<storage, read_write> stats: array<f32>;
@group(0) @binding(1) var<storage, read_write> parts: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let c = i % C;
    let origin = parts[c].x;
    var sum = 0.0;
    for (var r = 0u; r < WORLD; r++) {
        sum += parts[r * C + c].x - origin;
    }
    let mean = origin + sum / f32(WORLD);
    var squares = 0.0;
    for (var r = 0u; r < WORLD; r++) {
        let m = parts[r * C + c];
        squares += m.y + (m.x - mean) * (m.x - mean);
    }
    stats[2u * i] = mean;
    stats[2u * i + 1u] = 1.0 / sqrt(squares / f32(WORLD) + EPS);
}
