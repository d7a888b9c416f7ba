// Fold: out[i] = Σ parts[s i], the second half of reductions
//
//   parts [SPLITS COUNT]   out [COUNT]
//
// One invocation makes one sum, in order. Dispatch: COUNT.
//
// Prelude: SPLITS, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@group(0) @binding(1) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    var sum = 0.0;
    for (var s = 0u; s < SPLITS; s++) {
        sum += parts[s * COUNT + i];
    }
    out[i] = sum;
}
