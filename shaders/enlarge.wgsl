// Enlarge: y[n o c] = Σ x[n i c]·Π share(o, i), linear between voxels, corners stay
//
//   x [N D H W C]   y [N D·SD H·SH W·SW C]
//   share = max(0, 1 − |o·(n−1) − i·(m−1)|/(m−1)) on an axis of n voxels made m long
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF (bool); D, H, W, C, SD, SH, SW, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;

// The voxel before o, and the share of the next one.
struct Spot {
    i: u32,
    f: f32,
}

fn spot(o: u32, n: u32, m: u32) -> Spot {
    if n == 1u {
        return Spot(0u, 0.0);
    }
    let p = o * (n - 1u);
    return Spot(p / (m - 1u), f32(p % (m - 1u)) / f32(m - 1u));
}

fn element(i: u32) -> f32 {
    let c = i % C;
    let w = spot(i / C % (W * SW), W, W * SW);
    let h = spot(i / (C * W * SW) % (H * SH), H, H * SH);
    let d = spot(i / (C * W * SW * H * SH) % (D * SD), D, D * SD);
    let n = i / (C * W * SW * H * SH * D * SD);
    var sum = 0.0;
    for (var k = 0u; k < 8u; k++) {
        let up = vec3<u32>(k >> 2u, (k >> 1u) & 1u, k & 1u);
        let share = select(1.0 - d.f, d.f, up.x == 1u) * select(1.0 - h.f, h.f, up.y == 1u) * select(1.0 - w.f, w.f, up.z == 1u);
        if share > 0.0 {
            let xi = (((n * D + d.i + up.x) * H + h.i + up.y) * W + w.i + up.z) * C + c;
            sum += share * float_of(x[word(xi, T_HALF)], xi, T_HALF);
        }
    }
    return sum;
}
