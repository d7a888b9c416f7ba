// Conv3D in blocks: y[n o co] = b[co] + Σ x[n o·s + k − (K−1)/2 c] · w[k c co], see conv3d
//
//   x [N D H W C1]   x2 [N D H W C2]   w [KD KH KW C1+C2 CO]   b [CO]   y [N OD OH OW CO]
//
// One invocation makes 4 voxels of a row by 4 channels, with WIDE by 8: what it
// loads of x meets all of its channels, what it loads of w all of its voxels.
// C1, C2 and CO are multiples of 4, CO of 8 with WIDE. All but b are bound as
// pairs of words: 4 halves are one of them, 4 floats two. Dispatch: COUNT.
//
// Prelude: T_HALF, W_HALF, HAS_B, WIDE (bool); D, H, W, C1, C2, CO, OD, OH, OW,
// KD, KH, KW, SD, SH, SW, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read_write> x: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> w: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> b: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> x2: array<vec2<u32>>;

struct Sums {
    a0: vec4<f32>,
    a1: vec4<f32>,
    a2: vec4<f32>,
    a3: vec4<f32>,
    b0: vec4<f32>,
    b1: vec4<f32>,
    b2: vec4<f32>,
    b3: vec4<f32>,
}

// Elements 4i to 4i+3 of x, x2 and w.
fn x_four(i: u32) -> vec4<f32> {
    if T_HALF {
        let p = x[i];
        return vec4<f32>(unpack2x16float(p.x), unpack2x16float(p.y));
    }
    return vec4<f32>(bitcast<vec2<f32>>(x[2u * i]), bitcast<vec2<f32>>(x[2u * i + 1u]));
}

fn x2_four(i: u32) -> vec4<f32> {
    if T_HALF {
        let p = x2[i];
        return vec4<f32>(unpack2x16float(p.x), unpack2x16float(p.y));
    }
    return vec4<f32>(bitcast<vec2<f32>>(x2[2u * i]), bitcast<vec2<f32>>(x2[2u * i + 1u]));
}

fn w_four(i: u32) -> vec4<f32> {
    if W_HALF {
        let p = w[i];
        return vec4<f32>(unpack2x16float(p.x), unpack2x16float(p.y));
    }
    return vec4<f32>(bitcast<vec2<f32>>(w[2u * i]), bitcast<vec2<f32>>(w[2u * i + 1u]));
}

// Four channels of four voxels meet four rows of weights from wi on.
fn meet(sums: ptr<function, Sums>, e0: vec4<f32>, e1: vec4<f32>, e2: vec4<f32>, e3: vec4<f32>, wi: u32) {
    let r0 = w_four(wi);
    let r1 = w_four(wi + CO / 4u);
    let r2 = w_four(wi + 2u * (CO / 4u));
    let r3 = w_four(wi + 3u * (CO / 4u));
    (*sums).a0 += e0.x * r0 + e0.y * r1 + e0.z * r2 + e0.w * r3;
    (*sums).a1 += e1.x * r0 + e1.y * r1 + e1.z * r2 + e1.w * r3;
    (*sums).a2 += e2.x * r0 + e2.y * r1 + e2.z * r2 + e2.w * r3;
    (*sums).a3 += e3.x * r0 + e3.y * r1 + e3.z * r2 + e3.w * r3;
    if WIDE {
        let s0 = w_four(wi + 1u);
        let s1 = w_four(wi + CO / 4u + 1u);
        let s2 = w_four(wi + 2u * (CO / 4u) + 1u);
        let s3 = w_four(wi + 3u * (CO / 4u) + 1u);
        (*sums).b0 += e0.x * s0 + e0.y * s1 + e0.z * s2 + e0.w * s3;
        (*sums).b1 += e1.x * s0 + e1.y * s1 + e1.z * s2 + e1.w * s3;
        (*sums).b2 += e2.x * s0 + e2.y * s1 + e2.z * s2 + e2.w * s3;
        (*sums).b3 += e3.x * s0 + e3.y * s1 + e3.z * s2 + e3.w * s3;
    }
}

fn store(i: u32, v: vec4<f32>) {
    if T_HALF {
        y[i] = vec2<u32>(halves(v.x, v.y), halves(v.z, v.w));
    } else {
        y[2u * i] = bitcast<vec2<u32>>(v.xy);
        y[2u * i + 1u] = bitcast<vec2<u32>>(v.zw);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + id.y * GRID;
    if i >= COUNT {
        return;
    }
    let fours = select(1u, 2u, WIDE);
    let quads = CO / (4u * fours);
    let co = i % quads * fours; // in fours
    let pieces = (OW + 3u) / 4u;
    let ow = i / quads % pieces * 4u;
    let row = i / (quads * pieces); // of y
    let oh = row % OH;
    let od = row / OH % OD;
    let n = row / (OH * OD);
    var sums = Sums();
    if HAS_B {
        let bias = vec4<f32>(b[2u * co], b[2u * co + 1u]);
        sums.a0 = bias;
        sums.a1 = bias;
        sums.a2 = bias;
        sums.a3 = bias;
        if WIDE {
            let more = vec4<f32>(b[2u * co + 2u], b[2u * co + 3u]);
            sums.b0 = more;
            sums.b1 = more;
            sums.b2 = more;
            sums.b3 = more;
        }
    }
    for (var k = 0u; k < KD * KH; k++) {
        let d = od * SD + k / KH - (KD - 1u) / 2u; // below 0 is above D
        let h = oh * SH + k % KH - (KH - 1u) / 2u;
        if d >= D || h >= H {
            continue;
        }
        let line = ((n * D + d) * H + h) * W;
        for (var kw = 0u; kw < KW; kw++) {
            let v0 = ow * SW + kw - (KW - 1u) / 2u;
            let v1 = v0 + SW;
            let v2 = v1 + SW;
            let v3 = v2 + SW;
            // 1 within the row and 0 beside it, where another voxel is read.
            let m0 = v0 < W;
            let m1 = v1 < W;
            let m2 = v2 < W;
            let m3 = v3 < W;
            let l0 = line + min(v0, W - 1u);
            let l1 = line + min(v1, W - 1u);
            let l2 = line + min(v2, W - 1u);
            let l3 = line + min(v3, W - 1u);
            let none = vec4<f32>();
            var wi = (k * KW + kw) * (C1 + C2) * (CO / 4u) + co;
            for (var c = 0u; c < C1 / 4u; c++) {
                meet(
                    &sums,
                    select(none, x_four(l0 * (C1 / 4u) + c), m0),
                    select(none, x_four(l1 * (C1 / 4u) + c), m1),
                    select(none, x_four(l2 * (C1 / 4u) + c), m2),
                    select(none, x_four(l3 * (C1 / 4u) + c), m3),
                    wi,
                );
                wi += CO;
            }
            for (var c = 0u; c < C2 / 4u; c++) {
                meet(
                    &sums,
                    select(none, x2_four(l0 * (C2 / 4u) + c), m0),
                    select(none, x2_four(l1 * (C2 / 4u) + c), m1),
                    select(none, x2_four(l2 * (C2 / 4u) + c), m2),
                    select(none, x2_four(l3 * (C2 / 4u) + c), m3),
                    wi,
                );
                wi += CO;
            }
        }
    }
    let yi = (row * OW + ow) * (CO / 4u) + co;
    store(yi, sums.a0);
    if ow + 1u < OW {
        store(yi + CO / 4u, sums.a1);
    }
    if ow + 2u < OW {
        store(yi + 2u * (CO / 4u), sums.a2);
    }
    if ow + 3u < OW {
        store(yi + 3u * (CO / 4u), sums.a3);
    }
    if WIDE {
        store(yi + 1u, sums.b0);
        if ow + 1u < OW {
            store(yi + CO / 4u + 1u, sums.b1);
        }
        if ow + 2u < OW {
            store(yi + 2u * (CO / 4u) + 1u, sums.b2);
        }
        if ow + 3u < OW {
            store(yi + 3u * (CO / 4u) + 1u, sums.b3);
        }
    }
}
