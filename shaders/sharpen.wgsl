// Sharpen: y = x + a·Σ (x − neighbour) over the six neighbours, copies of the border being outside
//
//   x, y [N D H W C]   ctl: a of [N C] from CTL on, 0: unchanged
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF (bool); D, H, W, C, CTL, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;

fn x_at(i: u32) -> f32 {
    return float_of(x[word(i, T_HALF)], i, T_HALF);
}

// Σ (v − neighbour) of both along an axis of so many voxels, stride elements apart.
fn along(i: u32, v: f32, o: u32, size: u32, stride: u32) -> f32 {
    let low = select(i - stride, i, o == 0u);
    let high = select(i + stride, i, o + 1u == size);
    return (v - x_at(low)) + (v - x_at(high));
}

fn element(i: u32) -> f32 {
    let v = x_at(i);
    let a = ctl[CTL + i / (C * W * H * D) * C + i % C];
    if a == 0.0 {
        return v;
    }
    let d = along(i, v, i / (C * W * H) % D, D, C * W * H);
    let h = along(i, v, i / (C * W) % H, H, C * W);
    return v + a * (d + h + along(i, v, i / C % W, W, C));
}
