// Conv3D in blocks: y[n o co] = b[co] + Σ x[n o·s + k − (K−1)/2 c] · w[k c co], see conv3d
//
//   x [N D H W C1]   x2 [N D H W C2]   w [KD KH KW C1+C2 CO]   b [CO]   y [N OD OH OW CO]
//
// One invocation makes 4 voxels of a row by 4 channels; with LONG 8 voxels, with
// WIDE 8 channels. What it loads of x meets all of its channels, what it loads of w
// all of its voxels. TAPS is 3 where KW = 3 and SW = 1, so that what it loads of x
// meets the three taps of a row, else 1. Neighbours have the channels of the same voxels. C1, C2 and CO are
// multiples of 4, CO of 8 with WIDE; x, x2 and w are bound in fours of words, each
// four floats or eight halves. Dispatch: COUNT.
//
// Prelude: T_HALF, W_HALF, HAS_B, LONG, WIDE (bool); D, H, W, C1, C2, CO, OD, OH,
// OW, KD, KH, KW, SD, SH, SW, TAPS, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> w: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> b: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> x2: array<vec4<u32>>;

const C: u32 = (C1 + C2) / 4u; // in fours

// Four channels of the block's x meet four rows of weights from wi on.
fn meet(sums: Block, e: Block, wi: u32) -> Block {
    return meet_rows(sums, e, w_four(wi), w_four(wi + CO / 4u), w_four(wi + 2u * (CO / 4u)), w_four(wi + 3u * (CO / 4u)));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let fours = select(1u, 2u, WIDE);
    let voxels = select(4u, 8u, LONG);
    let quads = CO / (4u * fours);
    let co = i % quads * fours; // in fours
    let pieces = (OW + voxels - 1u) / voxels;
    let ow = i / quads % pieces * voxels;
    let row = i / (quads * pieces); // of y
    let oh = row % OH;
    let od = row / OH % OD;
    let n = row / (OH * OD);
    var bias = vec4<f32>();
    var more = vec4<f32>();
    if HAS_B {
        bias = b[co];
        if WIDE {
            more = b[co + 1u];
        }
    }
    var a = Block(bias, bias, bias, bias, bias, bias, bias, bias);
    var z = Block(more, more, more, more, more, more, more, more);
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
            var wi = (k * KW + kw) * C * CO + co;
            for (var c = 0u; c < C; c++) {
                var e = Block();
                var e8 = vec4<f32>();
                var e9 = vec4<f32>();
                e.v0 = x_at(p0, c, l0);
                e.v1 = x_at(p1, c, l1);
                e.v2 = x_at(p2, c, l2);
                e.v3 = x_at(p3, c, l3);
                if LONG || TAPS == 3u {
                    e.v4 = x_at(p4, c, l4);
                    e.v5 = x_at(p5, c, l5);
                }
                if LONG {
                    e.v6 = x_at(p6, c, l6);
                    e.v7 = x_at(p7, c, l7);
                }
                if LONG && TAPS == 3u {
                    e8 = x_at(p8, c, l8);
                    e9 = x_at(p9, c, l9);
                }
                a = meet(a, e, wi);
                if WIDE {
                    z = meet(z, e, wi + 1u);
                }
                if TAPS == 3u {
                    let second = Block(e.v1, e.v2, e.v3, e.v4, e.v5, e.v6, e.v7, e8);
                    let third = Block(e.v2, e.v3, e.v4, e.v5, e.v6, e.v7, e8, e9);
                    a = meet(a, second, wi + C * CO);
                    a = meet(a, third, wi + 2u * C * CO);
                    if WIDE {
                        z = meet(z, second, wi + C * CO + 1u);
                        z = meet(z, third, wi + 2u * C * CO + 1u);
                    }
                }
                wi += CO;
            }
        }
    }
    let yi = row * OW + ow;
    store_block(yi, ow, co, a);
    if WIDE {
        store_block(yi, ow, co + 1u, z);
    }
}
