// NormPool: statistics of sets of samples and channels from the moments of each
//
//   moments [N C 4]: mean, variance, see moments_fold   stats [N C 2]: mean, 1/√(variance + EPS)
//
// A set is SAMPLES samples and WIDTH channels that follow each other. One invocation
// makes the statistics of one sample and channel. Dispatch: COUNT = N·C.
//
// Prelude: C, SAMPLES, WIDTH, COUNT, GRID (u32); EPS (f32).

@group(0) @binding(0) var<storage, read_write> stats: array<f32>;
@group(0) @binding(1) var<storage, read_write> moments: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let base = i / (C * SAMPLES) * SAMPLES * C + i % C / WIDTH * WIDTH; // of the set
    let origin = moments[base].x;
    var sum = 0.0;
    for (var n = 0u; n < SAMPLES; n++) {
        for (var c = 0u; c < WIDTH; c++) {
            sum += moments[base + n * C + c].x - origin;
        }
    }
    let mean = origin + sum / f32(SAMPLES * WIDTH);
    var squares = 0.0;
    for (var n = 0u; n < SAMPLES; n++) {
        for (var c = 0u; c < WIDTH; c++) {
            let m = moments[base + n * C + c];
            squares += m.y + (m.x - mean) * (m.x - mean);
        }
    }
    stats[2u * i] = mean;
    stats[2u * i + 1u] = 1.0 / sqrt(squares / f32(SAMPLES * WIDTH) + EPS);
}
