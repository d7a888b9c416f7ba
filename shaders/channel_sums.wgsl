// ChannelSums: parts[s c] = Σ x[r c] over the rows r of split s, the first half of a bias's gradient
//
//   x [ROWS C]   parts [SPLITS C]
//
// One invocation makes one sum. Dispatch: COUNT = SPLITS·C.
//
// Prelude: T_HALF (bool); ROWS, C, SPLITS, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    var sum = 0.0;
    for (var row = i / C; row < ROWS; row += SPLITS) {
        let xi = row * C + i % C;
        sum += float_of(x[word(xi, T_HALF)], xi, T_HALF);
    }
    parts[i] = sum;
}
