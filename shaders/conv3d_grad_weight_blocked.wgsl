// Conv3DGradWeight in blocks: dw[k C0+c co] = Σ dy[n o co] · x[n o·s + k − (K−1)/2 c], see conv3d_grad_weight
//
//   dy [N OD OH OW CO]   x [N D H W C], channels C0 … C0+C-1 of CI   parts [SPLITS KD KH KW CI CO]
//
// One invocation sums 4 channels c by 4 channels co of TAPS k in a row over the rows r
// of dy, r mod SPLITS its own; fold adds the parts. TAPS is 3 where KW = 3 and SW is 1
// or 2, so that what it loads meets all taps of a row, else 1. With TURNED parts are
// [SPLITS KD KH KW CO C], as of UpConv3DGradWeight, whose x is dy here. C and CO are
// multiples of 4. x and dy are bound as pairs of words: 4 halves are one of them, 4
// floats two. Dispatch: COUNT = SPLITS·KD·KH·KW/TAPS·C/4·CO/4.
//
// Prelude: T_HALF, TURNED (bool); N, D, H, W, C, C0, CI, CO, OD, OH, OW, KD, KH, KW,
// SD, SH, SW, TAPS, SPLITS, COUNT, GRID (u32).

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

// Sums of 4 channels c, a row each, by 4 channels co.
struct Sums {
    r0: vec4<f32>,
    r1: vec4<f32>,
    r2: vec4<f32>,
    r3: vec4<f32>,
}

fn met(s: Sums, e: vec4<f32>, g: vec4<f32>) -> Sums {
    return Sums(s.r0 + e.x * g, s.r1 + e.y * g, s.r2 + e.z * g, s.r3 + e.w * g);
}

fn store_row(i: u32, v: vec4<f32>) {
    parts[i] = v.xy;
    parts[i + 1u] = v.zw;
}

// Of k, counted over all parts, channels 4c on by channels 4·co on.
fn store(k: u32, c: u32, co: u32, s: Sums) {
    if TURNED {
        let first = (k * CO + 4u * co) * (C / 2u) + 2u * c;
        store_row(first, vec4<f32>(s.r0.x, s.r1.x, s.r2.x, s.r3.x));
        store_row(first + C / 2u, vec4<f32>(s.r0.y, s.r1.y, s.r2.y, s.r3.y));
        store_row(first + C, vec4<f32>(s.r0.z, s.r1.z, s.r2.z, s.r3.z));
        store_row(first + 3u * (C / 2u), vec4<f32>(s.r0.w, s.r1.w, s.r2.w, s.r3.w));
    } else {
        let first = (k * CI + C0 + 4u * c) * (CO / 2u) + 2u * co;
        store_row(first, s.r0);
        store_row(first + CO / 2u, s.r1);
        store_row(first + CO, s.r2);
        store_row(first + 3u * (CO / 2u), s.r3);
    }
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
    let kw = v % (KW / TAPS);
    v = v / (KW / TAPS);
    let kh = v % KH;
    v = v / KH;
    let kd = v % KD;
    let part = v / KD;
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    for (var row = part; row < N * OD * OH; row += SPLITS) {
        let h = (row % OH) * SH + kh - (KH - 1u) / 2u; // below 0 is above H
        let d = (row / OH) % OD * SD + kd - (KD - 1u) / 2u;
        if h >= H || d >= D {
            continue;
        }
        let line = ((row / (OH * OD) * D + d) * H + h) * W;
        if TAPS == 3u {
            var before = vec4<f32>();
            var at = x_four(line * (C / 4u) + c);
            for (var ow = 0u; ow < OW; ow++) {
                let xw = ow * SW;
                if SW == 2u {
                    at = x_four((line + xw) * (C / 4u) + c);
                }
                var behind = vec4<f32>();
                if xw + 1u < W {
                    behind = x_four((line + xw + 1u) * (C / 4u) + c);
                }
                let g = dy_four((row * OW + ow) * (CO / 4u) + co);
                s0 = met(s0, before, g);
                s1 = met(s1, at, g);
                s2 = met(s2, behind, g);
                before = select(behind, at, SW == 1u);
                at = behind;
            }
        } else {
            for (var ow = 0u; ow < OW; ow++) {
                let xw = ow * SW + kw - (KW - 1u) / 2u;
                if xw < W {
                    s0 = met(s0, x_four((line + xw) * (C / 4u) + c), dy_four((row * OW + ow) * (CO / 4u) + co));
                }
            }
        }
    }
    let k = ((part * KD + kd) * KH + kh) * KW + kw * TAPS;
    store(k, c, co, s0);
    if TAPS == 3u {
        store(k + 1u, c, co, s1);
        store(k + 2u, c, co, s2);
    }
}
