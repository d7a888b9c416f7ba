// AvgPoolGrad: dx[n i c] = dy[n ⌊i/s⌋ c] / (SD·SH·SW)
//
//   dy [N D H W C]   dx [N D·SD H·SH W·SW C]
//
// One invocation makes one word of dx. Dispatch: WORDS.
//
// Prelude: T_HALF (bool); H, W, C, SD, SH, SW, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> dx: array<u32>;
@group(0) @binding(1) var<storage, read_write> dy: array<u32>;

fn element(i: u32) -> f32 {
    let c = i % C;
    let w = i / C % (W * SW) / SW;
    let h = i / (C * W * SW) % (H * SH) / SH;
    let d = i / (C * W * SW * H * SH) / SD; // of all samples
    let yi = ((d * H + h) * W + w) * C + c;
    return float_of(dy[word(yi, T_HALF)], yi, T_HALF) / f32(SD * SH * SW);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= WORDS {
        return;
    }
    if T_HALF {
        dx[i] = halves(element(2u * i), element(min(2u * i + 1u, COUNT - 1u)));
    } else {
        dx[i] = bitcast<u32>(element(i));
    }
}
