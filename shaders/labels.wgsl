// Labels: the label of the first largest logit acc/norm, resampled to the grid of a scan
//
//   acc f32 [S H W K]   norm f32 [S H W]   ctl[CTL]: first plane   chosen [K]   y u8 [PLANES OH OW]
//
// Voxel o of an axis lies at (o + ½)·n/n′ − ½, clamped; on a nearest axis it is
// voxel ⌊(o + ½)·n/n′⌋. With REGIONS the label is the last chosen[k] whose logit
// is above 0. One invocation makes four labels. Dispatch: WORDS.
//
// Prelude: REGIONS, NEAR_D, NEAR_H, NEAR_W (bool); S, DEPTH, H, W, K, OD, OH, OW,
// CTL, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> acc: array<f32>;
@group(0) @binding(2) var<storage, read_write> norm: array<f32>;
@group(0) @binding(3) var<storage, read_write> ctl: array<f32>;
@group(0) @binding(4) var<storage, read_write> chosen: array<u32>;

struct Between {
    low: u32,
    high: u32,
    f: f32, // the share of high
}

// Where voxel o of m lies on an axis of n: quotients of integers are exact.
fn between(o: u32, n: u32, m: u32, near: bool) -> Between {
    let twice = (2u * o + 1u) * n;
    if near {
        let v = twice / (2u * m);
        return Between(v, v, 0.0);
    }
    if twice < m {
        return Between(0u, 0u, 0.0);
    }
    let p = twice - m;
    let v = p / (2u * m);
    if v + 1u >= n {
        return Between(n - 1u, n - 1u, 0.0);
    }
    return Between(v, v + 1u, f32(p % (2u * m)) / f32(2u * m));
}

fn logit(d: u32, h: u32, w: u32, k: u32) -> f32 {
    let v = (d % S * H + h) * W + w;
    return acc[v * K + k] / norm[v];
}

fn mix_of(a: f32, b: f32, f: f32) -> f32 {
    return (1.0 - f) * a + f * b;
}

fn along_w(d: u32, h: u32, w: Between, k: u32) -> f32 {
    let a = logit(d, h, w.low, k);
    if w.f == 0.0 {
        return a;
    }
    return mix_of(a, logit(d, h, w.high, k), w.f);
}

fn plane(d: u32, h: Between, w: Between, k: u32) -> f32 {
    let a = along_w(d, h.low, w, k);
    if h.f == 0.0 {
        return a;
    }
    return mix_of(a, along_w(d, h.high, w, k), h.f);
}

fn element(i: u32) -> u32 {
    let o = i32(ctl[CTL]) + i32(i / (OW * OH));
    if o < 0 || o >= i32(OD) {
        return 0u;
    }
    let d = between(u32(o), DEPTH, OD, NEAR_D);
    let h = between(i / OW % OH, H, OH, NEAR_H);
    let w = between(i % OW, W, OW, NEAR_W);
    var label = 0u;
    var best = 0.0;
    for (var k = 0u; k < K; k++) {
        var z = plane(d.low, h, w, k);
        if d.f != 0.0 {
            z = mix_of(z, plane(d.high, h, w, k), d.f);
        }
        if REGIONS {
            if z > 0.0 {
                label = chosen[k];
            }
        } else if k == 0u || z > best {
            best = z;
            label = k;
        }
    }
    return label;
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
