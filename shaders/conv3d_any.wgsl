// Conv3D of any number of channels in blocks: y[n o co] = b[co] + Σ x[n o·s + k − (K−1)/2 c] · w[k c co], see conv3d
//
//   x [N D H W C1]   x2 [N D H W C2]   b [CO]   y [N OD OH OW CO]
//   w f32 [KD KH KW C1+C2 4·QUADS], zero from CO on, see conv3d_weights
//
// One invocation makes 4 voxels of a row by 4 channels; with LONG 8 voxels, with
// WIDE 8 channels, of which those from CO on are not stored. x is loaded channel by
// channel; TAPS is 3 where KW = 3 and SW = 1, so that a load meets the three taps of
// a row, else 1. Y_HALF wants an even CO: words do not reach from voxel to voxel.
// Dispatch: COUNT.
//
// Prelude: T_HALF, Y_HALF, HAS_B, LONG, WIDE (bool); D, H, W, C1, C2, CO, QUADS,
// OD, OH, OW, KD, KH, KW, SD, SH, SW, TAPS, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> w: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> b: array<f32>;
@group(0) @binding(4) var<storage, read_write> x2: array<u32>;

// Channel c of both inputs of a voxel; 0 beside the row.
fn x_at(voxel: u32, c: u32, inside: bool) -> f32 {
    var e: f32;
    if C2 > 0u && c >= C1 {
        let i = voxel * C2 + c - C1;
        e = float_of(x2[word(i, T_HALF)], i, T_HALF);
    } else {
        let i = voxel * C1 + c;
        e = float_of(x[word(i, T_HALF)], i, T_HALF);
    }
    return select(0.0, e, inside);
}

// A channel of the voxels of x, the first four in p, meets its weights r.
fn meet(sums: Block, p: vec4<f32>, q: vec4<f32>, r: vec4<f32>) -> Block {
    var s = sums;
    s.v0 += p.x * r;
    s.v1 += p.y * r;
    s.v2 += p.z * r;
    s.v3 += p.w * r;
    if LONG {
        s.v4 += q.x * r;
        s.v5 += q.y * r;
        s.v6 += q.z * r;
        s.v7 += q.w * r;
    }
    return s;
}

fn bias(co: u32) -> f32 {
    if HAS_B && co < CO {
        return b[co];
    }
    return 0.0;
}

// Two channels, from co on.
fn store_pair(i: u32, co: u32, v: vec2<f32>) {
    if co < CO {
        if Y_HALF {
            y[(i * CO + co) / 2u] = halves(v.x, v.y);
        } else {
            y[i * CO + co] = bitcast<u32>(v.x);
            if co + 1u < CO {
                y[i * CO + co + 1u] = bitcast<u32>(v.y);
            }
        }
    }
}

// Four channels from co on of voxel i of y, if it is there.
fn store(i: u32, co: u32, v: vec4<f32>, there: bool) {
    if there {
        store_pair(i, co, v.xy);
        store_pair(i, co + 2u, v.zw);
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let fours = select(1u, 2u, WIDE);
    let voxels = select(4u, 8u, LONG);
    let quads = QUADS / fours;
    let quad = i % quads * fours;
    let pieces = (OW + voxels - 1u) / voxels;
    let ow = i / quads % pieces * voxels;
    let row = i / (quads * pieces); // of y
    let oh = row % OH;
    let od = row / OH % OD;
    let n = row / (OH * OD);
    let co = 4u * quad;
    let start = vec4<f32>(bias(co), bias(co + 1u), bias(co + 2u), bias(co + 3u));
    var a = Block(start, start, start, start, start, start, start, start);
    var z = a;
    if WIDE {
        let more = vec4<f32>(bias(co + 4u), bias(co + 5u), bias(co + 6u), bias(co + 7u));
        z = Block(more, more, more, more, more, more, more, more);
    }
    for (var k = 0u; k < KD * KH; k++) {
        let d = od * SD + k / KH - (KD - 1u) / 2u; // below 0 is above D
        let h = oh * SH + k % KH - (KH - 1u) / 2u;
        if d >= D || h >= H {
            continue;
        }
        let line = ((n * D + d) * H + h) * W;
        for (var kw = 0u; kw < KW; kw += TAPS) {
            let at = ow * SW + kw - (KW - 1u) / 2u;
            let l0 = at < W;
            let l1 = at + SW < W;
            let l2 = at + 2u * SW < W;
            let l3 = at + 3u * SW < W;
            let l4 = at + 4u * SW < W;
            let l5 = at + 5u * SW < W;
            let l6 = at + 6u * SW < W;
            let l7 = at + 7u * SW < W;
            let l8 = at + 8u * SW < W;
            let l9 = at + 9u * SW < W;
            let p0 = line + select(0u, at, l0); // beside the row, its first is read
            let p1 = line + select(0u, at + SW, l1);
            let p2 = line + select(0u, at + 2u * SW, l2);
            let p3 = line + select(0u, at + 3u * SW, l3);
            let p4 = line + select(0u, at + 4u * SW, l4);
            let p5 = line + select(0u, at + 5u * SW, l5);
            let p6 = line + select(0u, at + 6u * SW, l6);
            let p7 = line + select(0u, at + 7u * SW, l7);
            let p8 = line + select(0u, at + 8u * SW, l8);
            let p9 = line + select(0u, at + 9u * SW, l9);
            var wi = (k * KW + kw) * (C1 + C2) * QUADS + quad;
            for (var c = 0u; c < C1 + C2; c++) {
                let p = vec4<f32>(x_at(p0, c, l0), x_at(p1, c, l1), x_at(p2, c, l2), x_at(p3, c, l3));
                var q = vec4<f32>();
                var e8 = 0.0;
                var e9 = 0.0;
                if LONG || TAPS == 3u {
                    q.x = x_at(p4, c, l4);
                    q.y = x_at(p5, c, l5);
                }
                if LONG {
                    q.z = x_at(p6, c, l6);
                    q.w = x_at(p7, c, l7);
                }
                if LONG && TAPS == 3u {
                    e8 = x_at(p8, c, l8);
                    e9 = x_at(p9, c, l9);
                }
                a = meet(a, p, q, w[wi]);
                if WIDE {
                    z = meet(z, p, q, w[wi + 1u]);
                }
                if TAPS == 3u {
                    let second = wi + (C1 + C2) * QUADS;
                    let third = second + (C1 + C2) * QUADS;
                    let p2nd = vec4<f32>(p.yzw, q.x);
                    let q2nd = vec4<f32>(q.yzw, e8);
                    let p3rd = vec4<f32>(p.zw, q.xy);
                    let q3rd = vec4<f32>(q.zw, e8, e9);
                    a = meet(a, p2nd, q2nd, w[second]);
                    a = meet(a, p3rd, q3rd, w[third]);
                    if WIDE {
                        z = meet(z, p2nd, q2nd, w[second + 1u]);
                        z = meet(z, p3rd, q3rd, w[third + 1u]);
                    }
                }
                wi += QUADS;
            }
        }
    }
    let yi = row * OW + ow;
    store_block(yi, ow, co, a);
    if WIDE {
        store_block(yi, ow, co + 4u, z);
    }
}
