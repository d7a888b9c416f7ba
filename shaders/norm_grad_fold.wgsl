// NormGradFold: the sums of channels from those of their blocks; dgamma and dbeta
//
//   parts [N BLOCKS C 2]   sums [N C 2]: Σ g, Σ g·x̂   dgamma[c] = Σ g·x̂   dbeta[c] = Σ g, over all samples
//
// One invocation makes those of one channel. Dispatch: C.
//
// Prelude: N, C, BLOCKS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> sums: array<f32>;
@group(0) @binding(1) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(2) var<storage, read_write> dbeta: array<f32>;
@group(0) @binding(3) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x + (first_row + id.y) * GRID;
    if c >= C {
        return;
    }
    var all_g = 0.0;
    var all_product = 0.0;
    for (var n = 0u; n < N; n++) {
        var g = 0.0;
        var product = 0.0;
        for (var b = 0u; b < BLOCKS; b++) {
            let p = 2u * ((n * BLOCKS + b) * C + c);
            g += parts[p];
            product += parts[p + 1u];
        }
        sums[2u * (n * C + c)] = g;
        sums[2u * (n * C + c) + 1u] = product;
        all_g += g;
        all_product += product;
    }
    dgamma[c] = all_product;
    dbeta[c] = all_g;
}
