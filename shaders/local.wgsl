// Local: k = (fD[d]·fH[h]·fW[w] − from)·scale; y = x + a·k, or with GAMMA
// y = min + (max − min)·((1 − k)·p + k·pᵃ) of the place p of x in [min, max] of its channel
//
//   x, y [N D H W C]   ctl: a row of [N C ROW] from CTL on: a, from, scale, fD, fH, fW; a = 0: unchanged
//   whole [N C 4]: moments of x
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF, GAMMA (bool); D, H, W, C, ROW, CTL, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;
@group(0) @binding(3) var<storage, read_write> whole: array<f32>;

fn element(i: u32) -> f32 {
    let v = float_of(x[word(i, T_HALF)], i, T_HALF);
    let channel = i / (C * W * H * D) * C + i % C;
    let row = CTL + channel * ROW;
    let a = ctl[row];
    if a == 0.0 {
        return v;
    }
    let f = row + 3u;
    let product = ctl[f + i / (C * W * H) % D] * ctl[f + D + i / (C * W) % H] * ctl[f + D + H + i / C % W];
    let k = (product - ctl[row + 1u]) * ctl[row + 2u];
    if !GAMMA {
        return v + a * k;
    }
    let low = whole[4u * channel + 2u];
    let high = whole[4u * channel + 3u];
    if low == high {
        return v;
    }
    let p = min((v - low) / (high - low), 1.0);
    return low + (high - low) * ((1.0 - k) * p + k * pow32(p, a));
}
