// Warp: y[n o c] = x at p = A·(o − (size−1)/2 + u) + t, linear between voxels and 0 outside
//
//   x f32 [N XD XH XW C]   ctl: rows (A, t) from CTL on   field f32 [N D H W 3]: u, if ELASTIC   y [N D H W C]
//
// CUBIC: y is the cubic convolution (Keys, a = −½) of the 4³ voxels around p, which the border of the source continues; 0 where ⌊p + ½⌋ is outside
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF, ELASTIC, CUBIC (bool); XD, XH, XW, D, H, W, C, CTL, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;
@group(0) @binding(3) var<storage, read_write> field: array<f32>;

fn row(n: u32, a: u32) -> vec3<f32> {
    let m = CTL + 12u * n + 3u * a;
    return vec3<f32>(ctl[m], ctl[m + 1u], ctl[m + 2u]);
}

// Where voxel v of the patch of sample n lies in the source.
fn place(v: u32, n: u32) -> vec3<f32> {
    var o = vec3<f32>(
        f32(v / (W * H) % D) - f32(D - 1u) * 0.5,
        f32(v / W % H) - f32(H - 1u) * 0.5,
        f32(v % W) - f32(W - 1u) * 0.5,
    );
    if ELASTIC {
        o += vec3<f32>(field[3u * v], field[3u * v + 1u], field[3u * v + 2u]);
    }
    let r0 = row(n, 0u) * o;
    let r1 = row(n, 1u) * o;
    let r2 = row(n, 2u) * o;
    return row(n, 3u) + vec3<f32>(r0.x + r0.y + r0.z, r1.x + r1.y + r1.z, r2.x + r2.y + r2.z);
}

// The corner j of the eight around p, its weight, and its voxel in the source;
// -1 outside.
fn weight_of(f: vec3<f32>, j: u32) -> f32 {
    return select(1.0 - f.x, f.x, (j & 4u) != 0u) * select(1.0 - f.y, f.y, (j & 2u) != 0u) * select(1.0 - f.z, f.z, (j & 1u) != 0u);
}

fn voxel_of(low: vec3<f32>, j: u32) -> i32 {
    let d = i32(low.x) + i32(j >> 2u);
    let h = i32(low.y) + i32((j >> 1u) & 1u);
    let w = i32(low.z) + i32(j & 1u);
    if d < 0 || d >= i32(XD) || h < 0 || h >= i32(XH) || w < 0 || w >= i32(XW) {
        return -1;
    }
    return (d * i32(XH) + h) * i32(XW) + w;
}

// The weight of a voxel that is t away, of a cubic convolution.
fn keys(t: f32) -> f32 {
    if t <= 1.0 {
        return (1.5 * t - 2.5) * t * t + 1.0;
    }
    return ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0;
}

fn cubic(p: vec3<f32>, from_: u32) -> f32 {
    let last = vec3<i32>(i32(XD) - 1, i32(XH) - 1, i32(XW) - 1);
    let near = vec3<i32>(floor(p + 0.5));
    if any(near < vec3<i32>(0)) || any(near > last) {
        return 0.0;
    }
    let low = floor(p);
    var sum = 0.0;
    for (var j = 0u; j < 64u; j++) {
        let k = vec3<i32>(i32(j >> 4u), i32((j >> 2u) & 3u), i32(j & 3u)) - 1;
        let t = abs(p - low - vec3<f32>(k));
        let weight = keys(t.x) * keys(t.y) * keys(t.z);
        if weight != 0.0 {
            let at = clamp(vec3<i32>(low) + k, vec3<i32>(0), last);
            sum += weight * x[from_ + u32((at.x * i32(XH) + at.y) * i32(XW) + at.z) * C];
        }
    }
    return sum;
}

fn element(i: u32) -> f32 {
    let v = i / C;
    let n = v / (D * H * W);
    if CUBIC {
        return cubic(place(v, n), n * XD * XH * XW * C + i % C);
    }
    let p = clamp(place(v, n), vec3<f32>(-2.0), vec3<f32>(f32(XD), f32(XH), f32(XW)));
    let low = floor(p);
    var sum = 0.0;
    for (var j = 0u; j < 8u; j++) {
        let weight = weight_of(p - low, j);
        let from_ = voxel_of(low, j);
        if from_ >= 0 && weight > 0.0 {
            sum += weight * x[(n * XD * XH * XW + u32(from_)) * C + i % C];
        }
    }
    return sum;
}
