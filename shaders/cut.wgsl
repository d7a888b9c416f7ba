// Cut: y[n i c] = case[corner + i c]   the case is that of row n of ctl
//
//   store f32 [V C] or u8 [V]   ctl: rows from CTL on   y f32 [N D H W C] or u8 [N D H W]
//
// Outside of the case y is FILL. With BYTES elements are u8. One invocation makes one
// word of y. Dispatch: WORDS.
//
// Prelude: BYTES (bool); D, H, W, C, CTL, FILL, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> store: array<u32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;

// The bits of an element.
fn element(i: u32) -> u32 {
    let row = CTL + 8u * (i / (C * W * H * D));
    let vd = i32(ctl[row + 5u]) + i32(i / (C * W * H) % D);
    let vh = i32(ctl[row + 6u]) + i32(i / (C * W) % H);
    let vw = i32(ctl[row + 7u]) + i32(i / C % W);
    if vd < 0 || vd >= i32(ctl[row + 2u]) || vh < 0 || vh >= i32(ctl[row + 3u]) || vw < 0 || vw >= i32(ctl[row + 4u]) {
        return select(bitcast<u32>(f32(FILL)), FILL, BYTES);
    }
    let first = u32(ctl[row]) + (u32(ctl[row + 1u]) << 16u);
    let v = first + (u32(vd) * u32(ctl[row + 3u]) + u32(vh)) * u32(ctl[row + 4u]) + u32(vw);
    if BYTES {
        return byte_of(store[v / 4u], v);
    }
    return store[v * C + i % C];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= WORDS {
        return;
    }
    if !BYTES {
        y[i] = element(i);
        return;
    }
    var word = 0u;
    for (var j = 0u; j < 4u; j++) {
        if 4u * i + j < COUNT {
            word |= element(4u * i + j) << (8u * j);
        }
    }
    y[i] = word;
}
