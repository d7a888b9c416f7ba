// NormApply: y = leaky((x − mean)·rstd·gamma + beta)
//
//   x, y [N V C]   gamma, beta [C]   stats [N C 2]
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF (bool); V, C, COUNT, WORDS, GRID (u32); SLOPE (f32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> gamma: array<f32>;
@group(0) @binding(3) var<storage, read_write> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> stats: array<f32>;

fn element(i: u32) -> f32 {
    let c = i % C;
    let s = 2u * (i / (V * C) * C + c);
    let e = float_of(x[word(i, T_HALF)], i, T_HALF);
    return leaky((e - stats[s]) * stats[s + 1u] * gamma[c] + beta[c], SLOPE);
}
