// Conv3DGradInput in blocks: dx[n i c] = Σ dy[n o co] · w[k C0+c co], see conv3d_grad_input
//
//   dy [N OD OH OW CO]   w [KD KH KW CI CO]   dx [N D H W C], channels C0 … C0+C-1 of CI
//
// One invocation makes 4 voxels of a row by 4 channels. C and CO are multiples
// of 4. All is bound as pairs of words: 4 halves are one of them, 4 floats two.
// Dispatch: COUNT.
//
// Prelude: T_HALF, W_HALF (bool); D, H, W, C, C0, CI, CO, OD, OH, OW, KD, KH, KW,
// SD, SH, SW, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> dx: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read_write> dy: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> w: array<vec2<u32>>;

// Elements 4i to 4i+3 of dy and w.
fn dy_four(i: u32) -> vec4<f32> {
    if T_HALF {
        let p = dy[i];
        return vec4<f32>(pair_of(p.x), pair_of(p.y));
    }
    return vec4<f32>(bitcast<vec2<f32>>(dy[2u * i]), bitcast<vec2<f32>>(dy[2u * i + 1u]));
}

fn w_four(i: u32) -> vec4<f32> {
    if W_HALF {
        let p = w[i];
        return vec4<f32>(pair_of(p.x), pair_of(p.y));
    }
    return vec4<f32>(bitcast<vec2<f32>>(w[2u * i]), bitcast<vec2<f32>>(w[2u * i + 1u]));
}

fn store(i: u32, v: vec4<f32>) {
    if T_HALF {
        dx[i] = vec2<u32>(halves(v.x, v.y), halves(v.z, v.w));
    } else {
        dx[2u * i] = bitcast<vec2<u32>>(v.xy);
        dx[2u * i + 1u] = bitcast<vec2<u32>>(v.zw);
    }
}

// Whether voxel p, counted before the stride, is one of dy's row.
fn within(p: u32) -> bool {
    return p / SW < OW && p % SW == 0u;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let c = i % (C / 4u); // in fours
    let pieces = (W + 3u) / 4u;
    let xw = i / (C / 4u) % pieces * 4u;
    let row = i / (C / 4u * pieces); // of dx
    let xh = row % H;
    let xd = row / H % D;
    let n = row / (H * D);
    let none = vec4<f32>();
    var s0 = none;
    var s1 = none;
    var s2 = none;
    var s3 = none;
    for (var k = 0u; k < KD * KH; k++) {
        let pd = xd + (KD - 1u) / 2u - k / KH; // below 0 is above OD·SD
        let ph = xh + (KH - 1u) / 2u - k % KH;
        if pd / SD >= OD || pd % SD != 0u || ph / SH >= OH || ph % SH != 0u {
            continue;
        }
        let line = ((n * OD + pd / SD) * OH + ph / SH) * OW;
        for (var kw = 0u; kw < KW; kw++) {
            let p = xw + (KW - 1u) / 2u - kw;
            let m0 = within(p);
            let m1 = within(p + 1u);
            let m2 = within(p + 2u);
            let m3 = within(p + 3u);
            // Beside the row another voxel is read, and dropped.
            let l0 = (line + min(p / SW, OW - 1u)) * (CO / 4u);
            let l1 = (line + min((p + 1u) / SW, OW - 1u)) * (CO / 4u);
            let l2 = (line + min((p + 2u) / SW, OW - 1u)) * (CO / 4u);
            let l3 = (line + min((p + 3u) / SW, OW - 1u)) * (CO / 4u);
            let wi = ((k * KW + kw) * CI + C0 + 4u * c) * (CO / 4u);
            for (var co = 0u; co < CO / 4u; co++) {
                let r0 = w_four(wi + co);
                let r1 = w_four(wi + CO / 4u + co);
                let r2 = w_four(wi + 2u * (CO / 4u) + co);
                let r3 = w_four(wi + 3u * (CO / 4u) + co);
                let e0 = select(none, dy_four(l0 + co), m0);
                let e1 = select(none, dy_four(l1 + co), m1);
                let e2 = select(none, dy_four(l2 + co), m2);
                let e3 = select(none, dy_four(l3 + co), m3);
                s0 += vec4<f32>(dot(e0, r0), dot(e0, r1), dot(e0, r2), dot(e0, r3));
                s1 += vec4<f32>(dot(e1, r0), dot(e1, r1), dot(e1, r2), dot(e1, r3));
                s2 += vec4<f32>(dot(e2, r0), dot(e2, r1), dot(e2, r2), dot(e2, r3));
                s3 += vec4<f32>(dot(e3, r0), dot(e3, r1), dot(e3, r2), dot(e3, r3));
            }
        }
    }
    let xi = (row * W + xw) * (C / 4u) + c;
    store(xi, s0);
    if xw + 1u < W {
        store(xi + C / 4u, s1);
    }
    if xw + 2u < W {
        store(xi + 2u * (C / 4u), s2);
    }
    if xw + 3u < W {
        store(xi + 3u * (C / 4u), s3);
    }
}
