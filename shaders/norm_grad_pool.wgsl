// NormGradPool: the means over sets of samples and channels that norm_grad takes away
//
//   sums [N C 2]: Σ g, Σ g·x̂, see norm_grad_fold   gamma [C]   means [N C 2]: Σ(gamma·g)/M, Σ(gamma·g·x̂)/M
//
// A set is SAMPLES samples and WIDTH channels that follow each other, M values. One
// invocation makes the means of one sample and channel. Dispatch: COUNT = N·C.
//
// Prelude: V, C, SAMPLES, WIDTH, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> means: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> gamma: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let first = i % C / WIDTH * WIDTH;
    let base = i / (C * SAMPLES) * SAMPLES * C + first;
    var g = 0.0;
    var product = 0.0;
    for (var n = 0u; n < SAMPLES; n++) {
        for (var c = 0u; c < WIDTH; c++) {
            let s = 2u * (base + n * C + c);
            g += gamma[first + c] * sums[s];
            product += gamma[first + c] * sums[s + 1u];
        }
    }
    means[2u * i] = g / (f32(V) * f32(SAMPLES * WIDTH));
    means[2u * i + 1u] = product / (f32(V) * f32(SAMPLES * WIDTH));
}
