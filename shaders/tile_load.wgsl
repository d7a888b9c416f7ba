// TileLoad: y[n i c] = volume[corner + i* c]   i* is i, reversed on the axes of the row's mirror bits
//
//   volume f32 [VD VH VW C]   ctl: rows from CTL on   y [N D H W C]
//
// Outside of the volume y is 0. One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF (bool); VD, VH, VW, D, H, W, C, CTL, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> volume: array<f32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;

fn element(i: u32) -> f32 {
    let c = i % C;
    let w = i / C % W;
    let h = i / (C * W) % H;
    let d = i / (C * W * H) % D;
    let row = CTL + 8u * (i / (C * W * H * D));
    let bits = u32(ctl[row + 6u]);
    let vd = i32(ctl[row]) + i32(select(d, D - 1u - d, (bits & 1u) != 0u));
    let vh = i32(ctl[row + 1u]) + i32(select(h, H - 1u - h, (bits & 2u) != 0u));
    let vw = i32(ctl[row + 2u]) + i32(select(w, W - 1u - w, (bits & 4u) != 0u));
    if vd < 0 || vd >= i32(VD) || vh < 0 || vh >= i32(VH) || vw < 0 || vw >= i32(VW) {
        return 0.0;
    }
    return volume[((u32(vd) * VH + u32(vh)) * VW + u32(vw)) * C + c];
}
