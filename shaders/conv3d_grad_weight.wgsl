// Conv3DGradWeight: dw[k C0+c co] = Σ dy[n o co] · x[n o·s + k − (K−1)/2 c]
//
//   dy [N OD OH OW CO]   x [N D H W C], channels C0 … C0+C-1 of CI   parts [SPLITS KD KH KW CI CO]
//
// One invocation sums one weight over the rows r of dy, r mod SPLITS its own;
// fold adds the parts. Dispatch: COUNT = SPLITS·KD·KH·KW·C·CO, once for each input.
//
// Prelude: T_HALF (bool); N, D, H, W, C, C0, CI, CO, OD, OH, OW, KD, KH, KW, SD,
// SH, SW, SPLITS, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> dy: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let co = i % CO;
    var v = i / CO;
    let c = v % C;
    v = v / C;
    let kw = v % KW;
    v = v / KW;
    let kh = v % KH;
    v = v / KH;
    let kd = v % KD;
    let part = v / KD;
    var sum = 0.0;
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
            let xi = (line + xw) * C + c;
            let yi = (row * OW + ow) * CO + co;
            sum += float_of(dy[word(yi, T_HALF)], yi, T_HALF) * float_of(x[word(xi, T_HALF)], xi, T_HALF);
        }
    }
    parts[(((part * KD + kd) * KH + kh) * KW + kw) * CI * CO + (C0 + c) * CO + co] = sum;
}
