// UpConv3D as a product of matrices: y[n i·s + k co] = b[co] + Σ x[n i ci] · w[k, ci co], see upconv3d
//
//   x [V CI]   w [TAPS CI CO]   b [CO]   y [N D·SD H·SH W·SW CO]      V = N·D·H·W   TAPS = SD·SH·SW
//
// One invocation makes 8 voxels of x in a row of memory, in a tap, by 4 channels,
// with WIDE by 8. Neighbours have the channels, then the taps, of the same voxels.
// CI and CO are multiples of 4, CO of 8 with WIDE; x and w are bound in fours of
// words, each four floats or eight halves. Dispatch: COUNT = ⌈V/8⌉·TAPS·CO/4, with
// WIDE CO/8.
//
// Prelude: T_HALF, W_HALF, HAS_B, WIDE (bool); V, H, W, CI, CO, SD, SH, SW, COUNT,
// GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> w: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> b: array<vec4<f32>>;

const LONG: bool = true;

// Channels 4c to 4c+3 of a voxel of x; of the last behind it.
fn x_at(voxel: u32, c: u32) -> vec4<f32> {
    let i = min(voxel, V - 1u) * (CI / 4u) + c;
    if T_HALF {
        return unpacked(x[i >> 1u], (i & 1u) == 1u);
    }
    return bitcast<vec4<f32>>(x[i]);
}

// Four channels of the block's x meet four rows of weights from wi on.
fn meet(sums: Block, e: Block, wi: u32) -> Block {
    return meet_rows(sums, e, w_four(wi), w_four(wi + CO / 4u), w_four(wi + 2u * (CO / 4u)), w_four(wi + 3u * (CO / 4u)));
}

// Channels 4·co on of what voxel i of x makes in a tap, if it is there.
fn store(i: u32, tap: u32, co: u32, v: vec4<f32>, more: vec4<f32>) {
    if i < V {
        let xw = i % W;
        let xh = i / W % H;
        let plane = i / (W * H) * SD + tap / (SH * SW); // of all samples
        let row = (plane * H + xh) * SH + tap / SW % SH;
        let at = ((row * W + xw) * SW + tap % SW) * (CO / 4u) + co;
        store_four(at, v);
        if WIDE {
            store_four(at + 1u, more);
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let fours = select(1u, 2u, WIDE);
    let quads = CO / (4u * fours);
    let co = i % quads * fours; // in fours
    let tap = i / quads % (SD * SH * SW);
    let v = i / (quads * SD * SH * SW) * 8u;
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
    var wi = tap * CI * (CO / 4u) + co;
    for (var c = 0u; c < CI / 4u; c++) {
        let e = Block(
            x_at(v, c), x_at(v + 1u, c), x_at(v + 2u, c), x_at(v + 3u, c),
            x_at(v + 4u, c), x_at(v + 5u, c), x_at(v + 6u, c), x_at(v + 7u, c),
        );
        a = meet(a, e, wi);
        if WIDE {
            z = meet(z, e, wi + 1u);
        }
        wi += CO;
    }
    store(v, tap, co, a.v0, z.v0);
    store(v + 1u, tap, co, a.v1, z.v1);
    store(v + 2u, tap, co, a.v2, z.v2);
    store(v + 3u, tap, co, a.v3, z.v3);
    store(v + 4u, tap, co, a.v4, z.v4);
    store(v + 5u, tap, co, a.v5, z.v5);
    store(v + 6u, tap, co, a.v6, z.v6);
    store(v + 7u, tap, co, a.v7, z.v7);
}
