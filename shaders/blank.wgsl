// Blank: y = the value of the last box that a voxel lies in, else x
//
//   x, y [N D H W C]   ctl: rows of [N C BOXES 6] from CTL on: first voxel and size   values [N C BOXES]
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF (bool); D, H, W, C, BOXES, CTL, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;
@group(0) @binding(3) var<storage, read_write> values: array<f32>;

fn inside(box: u32, o: vec3<u32>) -> bool {
    let r = CTL + 6u * box;
    let first = vec3<u32>(u32(ctl[r]), u32(ctl[r + 1u]), u32(ctl[r + 2u]));
    let size = vec3<u32>(u32(ctl[r + 3u]), u32(ctl[r + 4u]), u32(ctl[r + 5u]));
    return all(o >= first) && all(o < first + size);
}

fn element(i: u32) -> f32 {
    let channel = i / (C * W * H * D) * C + i % C;
    let o = vec3<u32>(i / (C * W * H) % D, i / (C * W) % H, i / C % W);
    for (var b = BOXES; b > 0u; b--) {
        let box = channel * BOXES + b - 1u;
        if inside(box, o) {
            return values[box];
        }
    }
    return float_of(x[word(i, T_HALF)], i, T_HALF);
}
