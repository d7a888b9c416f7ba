// NormActGrad: dx = gamma·rstd·(g − Σg/V − x̂·Σ(g·x̂)/V)
//
//   dx, dy, x [N V C]   gamma, beta [C]   stats [N C 2]   sums [N C 2], see norm_grad_fold
//   x̂ = (x − mean)·rstd   g = dy·leaky′(x̂·gamma + beta)
//   POOLED: sums are the means of norm_grad_pool, dx = rstd·(gamma·g − the first − x̂·the second)
//
// One invocation makes one word of dx. Dispatch: WORDS.
//
// Prelude: T_HALF, POOLED (bool); V, C, COUNT, WORDS, GRID (u32); SLOPE (f32).

@group(0) @binding(0) var<storage, read_write> dx: array<u32>;
@group(0) @binding(1) var<storage, read_write> dy: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<u32>;
@group(0) @binding(3) var<storage, read_write> gamma: array<f32>;
@group(0) @binding(4) var<storage, read_write> beta: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<f32>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;

fn element(i: u32) -> f32 {
    let c = i % C;
    let s = 2u * (i / (V * C) * C + c);
    let rstd = stats[s + 1u];
    let xhat = (float_of(x[word(i, T_HALF)], i, T_HALF) - stats[s]) * rstd;
    var g = float_of(dy[word(i, T_HALF)], i, T_HALF);
    g = select(SLOPE * g, g, xhat * gamma[c] + beta[c] >= 0.0);
    if POOLED {
        return rstd * (gamma[c] * g - sums[s] - xhat * sums[s + 1u]);
    }
    return gamma[c] * rstd * (g - sums[s] / f32(V) - xhat * (sums[s + 1u] / f32(V)));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= WORDS {
        return;
    }
    if T_HALF {
        dx[i] = halves(element(2u * i), element(min(2u * i + 1u, COUNT - 1u)));
    } else {
        dx[i] = bitcast<u32>(element(i));
    }
}
