// Conv3DGradWeight in blocks: dw[k C0+c co] = Σ dy[n o co] · x[n o·s + k − (K−1)/2 c], see conv3d_grad_weight
//
//   dy [N OD OH OW CO]   x [N D H W C], channels C0 … C0+C-1 of CI   parts [SPLITS KD KH KW CI CO]
//
// One invocation sums 4 channels c by 4 channels co of one k over the rows r of
// dy, r mod SPLITS its own; fold adds the parts. C and CO are multiples of 4. x
// and dy are bound as pairs of words: 4 halves are one of them, 4 floats two.
// Dispatch: COUNT = SPLITS·KD·KH·KW·C/4·CO/4.
//
// Prelude: T_HALF (bool); N, D, H, W, C, C0, CI, CO, OD, OH, OW, KD, KH, KW, SD,
// SH, SW, SPLITS, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> parts: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read_write> dy: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> x: array<vec2<u32>>;

// Elements 4i to 4i+3 of dy and x.
fn dy_four(i: u32) -> vec4<f32> {
    if T_HALF {
        let p = dy[i];
        return vec4<f32>(pair_of(p.x), pair_of(p.y));
    }
    return vec4<f32>(bitcast<vec2<f32>>(dy[2u * i]), bitcast<vec2<f32>>(dy[2u * i + 1u]));
}

fn x_four(i: u32) -> vec4<f32> {
    if T_HALF {
        let p = x[i];
        return vec4<f32>(pair_of(p.x), pair_of(p.y));
    }
    return vec4<f32>(bitcast<vec2<f32>>(x[2u * i]), bitcast<vec2<f32>>(x[2u * i + 1u]));
}

fn store(i: u32, v: vec4<f32>) {
    parts[i] = v.xy;
    parts[i + 1u] = v.zw;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let co = i % (CO / 4u); // in fours
    var v = i / (CO / 4u);
    let c = v % (C / 4u); // in fours
    v = v / (C / 4u);
    let kw = v % KW;
    v = v / KW;
    let kh = v % KH;
    v = v / KH;
    let kd = v % KD;
    let part = v / KD;
    var s0 = vec4<f32>();
    var s1 = vec4<f32>();
    var s2 = vec4<f32>();
    var s3 = vec4<f32>();
    for (var row = part; row < N * OD * OH; row += SPLITS) {
        let h = (row % OH) * SH + kh - (KH - 1u) / 2u; // below 0 is above H
        let d = (row / OH) % OD * SD + kd - (KD - 1u) / 2u;
        if h >= H || d >= D {
            continue;
        }
        let line = ((row / (OH * OD) * D + d) * H + h) * W;
        for (var ow = 0u; ow < OW; ow++) {
            let xw = ow * SW + kw - (KW - 1u) / 2u;
            if xw >= W {
                continue;
            }
            let e = x_four((line + xw) * (C / 4u) + c);
            let g = dy_four((row * OW + ow) * (CO / 4u) + co);
            s0 += e.x * g;
            s1 += e.y * g;
            s2 += e.z * g;
            s3 += e.w * g;
        }
    }
    let first = ((((part * KD + kd) * KH + kh) * KW + kw) * CI + C0 + 4u * c) * (CO / 2u) + 2u * co;
    store(first, s0);
    store(first + CO / 2u, s1);
    store(first + CO, s2);
    store(first + 3u * (CO / 2u), s3);
}
