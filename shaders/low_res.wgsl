// LowRes: x, kept at m = max(1, round(scale·size)) voxels of each axis, nearest, and brought back linearly
//
//   x, y [N D H W C]   ctl: scale of [N C] from CTL on, 0 and 1: unchanged
//
// Coarse voxel j is x[⌊(j + ½)·size/m⌋]; voxel i lies at (i + ½)·m/size − ½,
// clamped. Axes with KEEP stay as they are. One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF, KEEPD, KEEPH, KEEPW (bool); D, H, W, C, CTL, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;

fn x_at(i: u32) -> f32 {
    return float_of(x[word(i, T_HALF)], i, T_HALF);
}

struct Between {
    low: u32,
    high: u32,
    f: f32, // the share of high
}

// Voxels of x that voxel o of size lies between, by way of the coarse ones.
fn between(o: u32, scale: f32, size: u32) -> Between {
    let m = u32(max(1, round_times(scale, size)));
    let twice = (2u * o + 1u) * m;
    let p = select(0u, twice - size, twice > size);
    var low = p / (2u * size);
    var high = low + 1u;
    var f = f32(p % (2u * size)) / f32(2u * size);
    if high >= m {
        low = m - 1u;
        high = low;
        f = 0.0;
    }
    return Between((2u * low + 1u) * size / (2u * m), (2u * high + 1u) * size / (2u * m), f);
}

fn along(d: u32, h: u32, w: Between, rest: u32) -> f32 {
    let base = rest + (d * H + h) * W * C;
    return (1.0 - w.f) * x_at(base + w.low * C) + w.f * x_at(base + w.high * C);
}

fn element(i: u32) -> f32 {
    let c = i % C;
    let n = i / (C * W * H * D);
    let scale = ctl[CTL + n * C + c];
    if scale == 0.0 || scale == 1.0 {
        return x_at(i);
    }
    let d = between(i / (C * W * H) % D, select(scale, 1.0, KEEPD), D);
    let h = between(i / (C * W) % H, select(scale, 1.0, KEEPH), H);
    let w = between(i / C % W, select(scale, 1.0, KEEPW), W);
    let rest = n * D * H * W * C + c;
    let near = (1.0 - h.f) * along(d.low, h.low, w, rest) + h.f * along(d.low, h.high, w, rest);
    let far = (1.0 - h.f) * along(d.high, h.low, w, rest) + h.f * along(d.high, h.high, w, rest);
    return (1.0 - d.f) * near + d.f * far;
}
