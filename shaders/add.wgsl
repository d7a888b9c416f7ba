// Add, AddAct: y = leaky(a + b)      ActGrad (GRAD): y = b ≥ 0 ? a : SLOPE·a
//
//   a, b, y [COUNT]
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF, GRAD (bool); COUNT, WORDS, GRID (u32); SLOPE (f32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> a: array<u32>;
@group(0) @binding(2) var<storage, read_write> b: array<u32>;

fn element(i: u32) -> f32 {
    let u = float_of(a[word(i, T_HALF)], i, T_HALF);
    let v = float_of(b[word(i, T_HALF)], i, T_HALF);
    if GRAD {
        return select(SLOPE * u, u, v >= 0.0);
    }
    return leaky(u + v, SLOPE);
}
