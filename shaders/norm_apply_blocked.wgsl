// NormApply of channels in fours: y = leaky((x − mean)·rstd·gamma + beta), see norm_apply
//
//   x, y [N V C]   gamma, beta [C]   stats [N C 2]
//
// One invocation makes 4 channels of 4 voxels, 8 where x is halves: it loads four
// words at once. Neighbours have the channels of the same voxels. C is a multiple of
// that. Dispatch: COUNT = N·⌈V/4⌉·C/4 or C/8.
//
// Prelude: T_HALF (bool); V, C, COUNT, GRID (u32); SLOPE (f32).

@group(0) @binding(0) var<storage, read_write> y: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> gamma: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> beta: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> stats: array<vec4<f32>>;

// What 4 channels are normalised by.
struct Norm {
    mean: vec4<f32>,
    rstd: vec4<f32>,
    gamma: vec4<f32>,
    beta: vec4<f32>,
}

// Of channels 4c to 4c+3 of sample n.
fn norm_of(n: u32, c: u32) -> Norm {
    let s = stats[n * (C / 2u) + 2u * c];
    let t = stats[n * (C / 2u) + 2u * c + 1u];
    return Norm(vec4<f32>(s.xz, t.xz), vec4<f32>(s.yw, t.yw), gamma[c], beta[c]);
}

fn applied(e: vec4<f32>, p: Norm) -> vec4<f32> {
    let v = (e - p.mean) * p.rstd * p.gamma + p.beta;
    return select(SLOPE * v, v, v >= vec4<f32>());
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let fours = select(1u, 2u, T_HALF);
    let across = C / (4u * fours);
    let c = i % across;
    let pieces = (V + 3u) / 4u;
    let first = i / across % pieces * 4u;
    let n = i / (across * pieces);
    let p = norm_of(n, c * fours);
    let q = norm_of(n, c * fours + fours - 1u);
    for (var v = first; v < min(first + 4u, V); v++) {
        let at = (n * V + v) * across + c;
        let e = x[at];
        if T_HALF {
            let a = applied(vec4<f32>(pair_of(e.x), pair_of(e.y)), p);
            let b = applied(vec4<f32>(pair_of(e.z), pair_of(e.w)), q);
            y[at] = vec4<u32>(halves(a.x, a.y), halves(a.z, a.w), halves(b.x, b.y), halves(b.z, b.w));
        } else {
            y[at] = bitcast<vec4<u32>>(applied(bitcast<vec4<f32>>(e), p));
        }
    }
}
