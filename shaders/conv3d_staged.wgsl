// Conv3D in blocks of a workgroup: y[n o co] = b[co] + Σ x[n o·s + k − (K−1)/2 c] · w[k c co], see conv3d
//
//   x [N D H W C1]   x2 [N D H W C2]   w [KD KH KW C1+C2 CO]   b [CO]   y [N OD OH OW CO]
//
// For GPUs, whose workgroup memory is faster than the rest; conv3d_blocked makes the
// same sums in the same order. One invocation makes 8 voxels of a row by 8 channels;
// LANES neighbours have the channels of the same voxels. A workgroup has 8·LANES
// channels of 64/LANES pieces of rows. It loads the weights of 4·QUADS channels of x,
// which all of its voxels meet, into its memory: slab [TAPS 4·QUADS 8·LANES], in
// fours SLAB. TAPS is 3 where KW = 3 and SW = 1, so that what is loaded of x meets
// the three taps of a row, else 1. C1 and C2 are multiples of 4, CO of 8·LANES; x, x2
// and w are bound in fours of words, each four floats or eight halves. Dispatch:
// COUNT = N·OD·OH·⌈OW/8⌉ pieces; ⌈COUNT·LANES/64⌉·ACROSS workgroups, ACROSS =
// CO/(8·LANES).
//
// Prelude: T_HALF, W_HALF, HAS_B (bool); D, H, W, C1, C2, CO, OD, OH, OW, KD, KH,
// KW, SD, SH, SW, TAPS, LANES, ACROSS, QUADS, SLAB, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> w: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> b: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> x2: array<vec4<u32>>;

const C: u32 = (C1 + C2) / 4u; // in fours
const LONG: bool = true;
const ROW: u32 = 2u * LANES; // of the slab, in fours

var<workgroup> slab: array<vec4<f32>, SLAB>;

// Four channels of the block's x meet four rows of the slab from si on.
fn meet(sums: Block, e: Block, si: u32) -> Block {
    return meet_rows(sums, e, slab[si], slab[si + ROW], slab[si + 2u * ROW], slab[si + 3u * ROW]);
}

// load fills the slab with the weights of channels 4·c on of taps from tap on, of
// channels 4·first on of y.
fn load(own: u32, tap: u32, c: u32, first: u32) {
    for (var j = own; j < SLAB; j += 64u) {
        let row = 4u * c + j / ROW % (4u * QUADS);
        if row < 4u * C {
            let t = tap + j / (ROW * 4u * QUADS);
            slab[j] = w_four((t * 4u * C + row) * (CO / 4u) + first + j % ROW);
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) own: u32) {
    let i = group.x + (first_row + group.y) * (GRID / 64u);
    let first = i % ACROSS * ROW; // in fours
    let lane = own % LANES * 2u;
    let co = first + lane;
    let place = i / ACROSS * (64u / LANES) + own / LANES;
    let piece = min(place, COUNT - 1u); // what is beyond the last keeps step
    let pieces = (OW + 7u) / 8u;
    let ow = piece % pieces * 8u;
    let row = piece / pieces; // of y
    let oh = row % OH;
    let od = row / OH % OD;
    let n = row / (OH * OD);
    var bias = vec4<f32>();
    var more = vec4<f32>();
    if HAS_B {
        bias = b[co];
        more = b[co + 1u];
    }
    var a = Block(bias, bias, bias, bias, bias, bias, bias, bias);
    var z = Block(more, more, more, more, more, more, more, more);
    for (var k = 0u; k < KD * KH; k++) {
        let d = od * SD + k / KH - (KD - 1u) / 2u; // below 0 is above D
        let h = oh * SH + k % KH - (KH - 1u) / 2u;
        let inside = d < D && h < H;
        let line = select(0u, ((n * D + d) * H + h) * W, inside);
        for (var kw = 0u; kw < KW; kw += TAPS) {
            let at = ow * SW + kw - (KW - 1u) / 2u;
            let l0 = inside && at < W;
            let l1 = inside && at + SW < W;
            let l2 = inside && at + 2u * SW < W;
            let l3 = inside && at + 3u * SW < W;
            let l4 = inside && at + 4u * SW < W;
            let l5 = inside && at + 5u * SW < W;
            let l6 = inside && at + 6u * SW < W;
            let l7 = inside && at + 7u * SW < W;
            let l8 = inside && at + 8u * SW < W;
            let l9 = inside && at + 9u * SW < W;
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
            for (var slab_c = 0u; slab_c < C; slab_c += QUADS) {
                workgroupBarrier();
                load(own, k * KW + kw, slab_c, first);
                workgroupBarrier();
                for (var c = slab_c; c < min(slab_c + QUADS, C); c++) {
                    let e = Block(
                        x_at(p0, c, l0), x_at(p1, c, l1), x_at(p2, c, l2), x_at(p3, c, l3),
                        x_at(p4, c, l4), x_at(p5, c, l5), x_at(p6, c, l6), x_at(p7, c, l7),
                    );
                    let si = 4u * (c - slab_c) * ROW + lane;
                    a = meet(a, e, si);
                    z = meet(z, e, si + 1u);
                    if TAPS == 3u {
                        let e8 = x_at(p8, c, l8);
                        let e9 = x_at(p9, c, l9);
                        let second = Block(e.v1, e.v2, e.v3, e.v4, e.v5, e.v6, e.v7, e8);
                        let third = Block(e.v2, e.v3, e.v4, e.v5, e.v6, e.v7, e8, e9);
                        let tap = 4u * QUADS * ROW;
                        a = meet(a, second, si + tap);
                        z = meet(z, second, si + tap + 1u);
                        a = meet(a, third, si + 2u * tap);
                        z = meet(z, third, si + 2u * tap + 1u);
                    }
                }
            }
        }
    }
    if place >= COUNT {
        return;
    }
    let yi = row * OW + ow;
    store_block(yi, ow, co, a);
    store_block(yi, ow, co + 1u, z);
}
