// Blur: y[i] = Σ g[j]·x[i+j] / Σ g[j] along one axis   g[j] = exp(−j²/2σ²)   |j| ≤ r = min(RADIUS, ⌊(6σ + ½)/2⌋)
//
//   x, y [N … SIZE STRIDE]: the axis and what is behind it, channels last   ctl: σ of [N C] from CTL on, 0: unchanged
//
// Indices are reflected. One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF (bool); PER (elements of a sample), SIZE, STRIDE, C, RADIUS,
// CTL, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;

fn x_at(i: u32) -> f32 {
    return float_of(x[word(i, T_HALF)], i, T_HALF);
}

fn reflected(at: i32) -> i32 {
    if SIZE == 1u {
        return 0;
    }
    var i = at;
    while i < 0 || i >= i32(SIZE) {
        if i < 0 {
            i = -i;
        } else {
            i = 2 * (i32(SIZE) - 1) - i;
        }
    }
    return i;
}

fn element(i: u32) -> f32 {
    let sigma = ctl[CTL + i / PER * C + i % C];
    if sigma == 0.0 {
        return x_at(i);
    }
    let r = min(i32(RADIUS), round_times(sigma, 6u) / 2);
    let o = i / STRIDE % SIZE;
    let base = i - o * STRIDE;
    var top = 0.0;
    var bottom = 0.0;
    for (var j = -r; j <= r; j++) {
        let g = exp32(-f32(j * j) / (2.0 * sigma * sigma));
        top += g * x_at(base + u32(reflected(i32(o) + j)) * STRIDE);
        bottom += g;
    }
    return top / bottom;
}
