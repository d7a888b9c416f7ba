// Median: the median of a window of s voxels along each axis that has more than one
//
//   x, y [N D H W C]   ctl: s of [N C] from CTL on, at most MOST; 0: unchanged
//
// The window goes from o − ⌊s/2⌋ to o + ⌈s/2⌉ − 1; indices are reflected, the border is repeated.
// The value is found bit by bit, the highest first: a bit is set if no more than half of
// the window is below what it makes. One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF (bool); D, H, W, C, MOST, CTL, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;

fn x_at(i: u32) -> f32 {
    return float_of(x[word(i, T_HALF)], i, T_HALF);
}

// Bits in the order of the values.
fn key_of(v: f32) -> u32 {
    let b = bitcast<u32>(v);
    return select(b | 0x80000000u, ~b, (b >> 31u) == 1u);
}

fn repeated(at: i32, size: u32) -> u32 {
    let n = i32(size);
    var i = at;
    while i < 0 || i >= n {
        if i < 0 {
            i = -1 - i;
        } else {
            i = 2 * n - 1 - i;
        }
    }
    return u32(i);
}

fn element(i: u32) -> f32 {
    let c = i % C;
    let n = i / (C * W * H * D);
    let s = min(u32(ctl[CTL + n * C + c]), MOST);
    if s == 0u {
        return x_at(i);
    }
    let o = vec3<u32>(i / (C * W * H) % D, i / (C * W) % H, i / C % W);
    let sizes = select(vec3<u32>(1u), vec3<u32>(s), vec3<u32>(D, H, W) > vec3<u32>(1u));
    let first = vec3<i32>(o) - vec3<i32>(sizes / 2u);
    let half = sizes.x * sizes.y * sizes.z / 2u;
    var key = 0u;
    for (var bit = 0x80000000u; bit > 0u; bit >>= 1u) {
        var below = 0u;
        for (var a = 0u; a < sizes.x; a++) {
            let plane = (n * D + repeated(first.x + i32(a), D)) * H;
            for (var b = 0u; b < sizes.y; b++) {
                let row = (plane + repeated(first.y + i32(b), H)) * W;
                for (var e = 0u; e < sizes.z; e++) {
                    let v = x_at((row + repeated(first.z + i32(e), W)) * C + c);
                    below += select(0u, 1u, key_of(v) < (key | bit));
                }
            }
        }
        key = select(key, key | bit, below <= half);
    }
    return bitcast<f32>(select(~key, key ^ 0x80000000u, (key >> 31u) == 1u));
}
