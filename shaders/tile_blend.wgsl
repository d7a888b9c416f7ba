// TileBlend: acc[o] += m·weights[i]·logits[n i*]   norm[o] += m·weights[i]   o = corner + i
//
//   logits [N D H W K]   weights f32 [D H W]   ctl: rows from CTL on   acc f32 [S VH VW K]   norm f32 [S VH VW]
//
// i* is i, reversed on the axes of the row's mirror bits; plane o of the volume's
// DEPTH is plane o mod S of acc. One invocation does a column of acc and a class,
// rows in order. Dispatch: COUNT = VH·VW·K.
//
// Prelude: T_HALF (bool); N, D, H, W, K, S, VH, VW, DEPTH, CTL, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> acc: array<f32>;
@group(0) @binding(1) var<storage, read_write> norm: array<f32>;
@group(0) @binding(2) var<storage, read_write> logits: array<u32>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> ctl: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let k = i % K;
    let column = i / K;
    for (var n = 0u; n < N; n++) {
        let row = CTL + 8u * n;
        let m = ctl[row + 7u];
        let h = i32(column / VW) - i32(ctl[row + 4u]);
        let w = i32(column % VW) - i32(ctl[row + 5u]);
        if m == 0.0 || h < 0 || h >= i32(H) || w < 0 || w >= i32(W) {
            continue;
        }
        let bits = u32(ctl[row + 6u]);
        let th = select(u32(h), H - 1u - u32(h), (bits & 2u) != 0u);
        let tw = select(u32(w), W - 1u - u32(w), (bits & 4u) != 0u);
        for (var d = 0u; d < D; d++) {
            let o = i32(ctl[row + 3u]) + i32(d);
            if o < 0 || o >= i32(DEPTH) {
                continue;
            }
            let weight = m * weights[(d * H + u32(h)) * W + u32(w)];
            let td = select(d, D - 1u - d, (bits & 1u) != 0u);
            let zi = (((n * D + td) * H + th) * W + tw) * K + k;
            let a = u32(o) % S * VH * VW + column;
            acc[a * K + k] += weight * float_of(logits[word(zi, T_HALF)], zi, T_HALF);
            if k == 0u {
                norm[a] += weight;
            }
        }
    }
}
