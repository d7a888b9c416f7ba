// Conv3DWeights: the rows of w as floats, lengthened by zeros to 4·QUADS
//
//   w [ROWS CO]   y f32 [ROWS 4·QUADS]
//
// One invocation makes four of a row. Dispatch: COUNT = ROWS·QUADS.
//
// Prelude: W_HALF (bool); CO, QUADS, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> w: array<u32>;

fn weight(row: u32, co: u32) -> f32 {
    if co >= CO {
        return 0.0;
    }
    let i = row * CO + co;
    return float_of(w[word(i, W_HALF)], i, W_HALF);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let row = i / QUADS;
    let co = i % QUADS * 4u;
    y[i] = vec4<f32>(weight(row, co), weight(row, co + 1u), weight(row, co + 2u), weight(row, co + 3u));
}
