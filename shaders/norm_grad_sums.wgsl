// NormGradSums: Σ g and Σ g·x̂ over BLOCK voxels of a channel
//
//   dy, x [N V C]   gamma, beta [C]   stats [N C 2]   parts [N BLOCKS C 2]
//   x̂ = (x − mean)·rstd   g = dy·leaky′(x̂·gamma + beta)
//
// One invocation makes the sums of one block. Dispatch: COUNT = N·BLOCKS·C.
//
// Prelude: T_HALF (bool); V, C, BLOCK, BLOCKS, COUNT, GRID (u32); SLOPE (f32).

@group(0) @binding(0) var<storage, read_write> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> dy: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<u32>;
@group(0) @binding(3) var<storage, read_write> gamma: array<f32>;
@group(0) @binding(4) var<storage, read_write> beta: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let c = i % C;
    let block = i / C % BLOCKS;
    let n = i / (C * BLOCKS);
    let mean = stats[2u * (n * C + c)];
    let rstd = stats[2u * (n * C + c) + 1u];
    var sum = 0.0;
    var product = 0.0;
    for (var v = block * BLOCK; v < min((block + 1u) * BLOCK, V); v++) {
        let j = (n * V + v) * C + c;
        let xhat = (float_of(x[word(j, T_HALF)], j, T_HALF) - mean) * rstd;
        var g = float_of(dy[word(j, T_HALF)], j, T_HALF);
        g = select(SLOPE * g, g, xhat * gamma[c] + beta[c] >= 0.0);
        sum += g;
        product += g * xhat;
    }
    parts[2u * i] = sum;
    parts[2u * i + 1u] = product;
}
