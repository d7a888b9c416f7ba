// Moments: mean, Σ(x − mean)², minimum and maximum of BLOCK voxels of a channel
//
//   x [N V C]   parts [N BLOCKS C 4]
//
// One invocation makes those of one block, the mean first: squares are of
// deviations, so that they do not cancel. Dispatch: COUNT = N·BLOCKS·C.
//
// Prelude: T_HALF (bool); V, C, BLOCK, BLOCKS, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;

fn x_at(i: u32) -> f32 {
    return float_of(x[word(i, T_HALF)], i, T_HALF);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let c = i % C;
    let block = i / C % BLOCKS;
    let n = i / (C * BLOCKS);
    let first = block * BLOCK;
    let last = min(first + BLOCK, V);
    var sum = 0.0;
    var low = x_at((n * V + first) * C + c);
    var high = low;
    for (var v = first; v < last; v++) {
        let e = x_at((n * V + v) * C + c);
        sum += e;
        low = min(low, e);
        high = max(high, e);
    }
    let mean = sum / f32(last - first);
    var squares = 0.0;
    for (var v = first; v < last; v++) {
        let e = x_at((n * V + v) * C + c) - mean;
        squares += e * e;
    }
    parts[4u * i] = mean;
    parts[4u * i + 1u] = squares;
    parts[4u * i + 2u] = low;
    parts[4u * i + 3u] = high;
}
