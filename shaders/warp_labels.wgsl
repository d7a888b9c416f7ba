// WarpLabels: the label with the largest linear weight at p, see warp; 255 is outside
//
//   x u8 [N XD XH XW]   ctl: rows (A, t) from CTL on   field f32 [N D H W 3]: u, if ELASTIC   y u8 [N D H W]
//
// Of equals 255 wins, else the smaller one. NEAREST: the label of ⌊p + ½⌋. One invocation
// makes four labels.
// Dispatch: WORDS.
//
// Prelude: ELASTIC, NEAREST (bool); XD, XH, XW, D, H, W, CTL, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
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

fn element(i: u32) -> u32 {
    let n = i / (D * H * W);
    if NEAREST {
        let near = clamp(floor(place(i, n) + 0.5), vec3<f32>(-2.0), vec3<f32>(f32(XD), f32(XH), f32(XW)));
        let at = voxel_of(near, 0u);
        if at < 0 {
            return 255u;
        }
        let xi = n * XD * XH * XW + u32(at);
        return byte_of(x[xi / 4u], xi);
    }
    let p = clamp(place(i, n), vec3<f32>(-2.0), vec3<f32>(f32(XD), f32(XH), f32(XW)));
    let low = floor(p);
    // Plus 1: outside is 0, the smallest.
    var found: array<u32, 8>;
    for (var j = 0u; j < 8u; j++) {
        let from_ = voxel_of(low, j);
        found[j] = 0u;
        if from_ >= 0 {
            let xi = n * XD * XH * XW + u32(from_);
            found[j] = (byte_of(x[xi / 4u], xi) + 1u) & 255u;
        }
    }
    var best = 0u;
    var most = -1.0;
    for (var j = 0u; j < 8u; j++) {
        var sum = 0.0;
        for (var l = 0u; l < 8u; l++) {
            if found[l] == found[j] {
                sum += weight_of(p - low, l);
            }
        }
        if sum > most || (sum == most && found[j] < best) {
            most = sum;
            best = found[j];
        }
    }
    return (best + 255u) & 255u;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= WORDS {
        return;
    }
    var four = 0u;
    for (var j = 0u; j < 4u; j++) {
        if 4u * i + j < COUNT {
            four |= element(4u * i + j) << (8u * j);
        }
    }
    y[i] = four;
}
