// Conv3D: y[n o co] = b[co] + Σ x[n o·s + k − (K−1)/2 c] · w[k c co]
//
//   x [N D H W C1]   x2 [N D H W C2]   w [KD KH KW C1+C2 CO]   b [CO]   y [N OD OH OW CO]
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF, W_HALF, HAS_B (bool); D, H, W, C1, C2, CO, OD, OH, OW, KD,
// KH, KW, SD, SH, SW, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> w: array<u32>;
@group(0) @binding(3) var<storage, read_write> b: array<u32>;
@group(0) @binding(4) var<storage, read_write> x2: array<u32>;

fn weight(i: u32) -> f32 {
    return float_of(w[word(i, W_HALF)], i, W_HALF);
}

fn element(i: u32) -> f32 {
    let co = i % CO;
    var v = i / CO;
    let ow = v % OW;
    v = v / OW;
    let oh = v % OH;
    v = v / OH;
    let od = v % OD;
    let n = v / OD;
    var sum = 0.0;
    for (var kd = 0u; kd < KD; kd++) {
        let d = od * SD + kd - (KD - 1u) / 2u; // below 0 is above D
        if d >= D {
            continue;
        }
        for (var kh = 0u; kh < KH; kh++) {
            let h = oh * SH + kh - (KH - 1u) / 2u;
            if h >= H {
                continue;
            }
            for (var kw = 0u; kw < KW; kw++) {
                let ww = ow * SW + kw - (KW - 1u) / 2u;
                if ww >= W {
                    continue;
                }
                let voxel = ((n * D + d) * H + h) * W + ww;
                var wi = ((kd * KH + kh) * KW + kw) * (C1 + C2) * CO + co;
                for (var c = 0u; c < some(C1, arrayLength(&x)); c++) {
                    let xi = voxel * C1 + c;
                    sum += float_of(x[word(xi, T_HALF)], xi, T_HALF) * weight(wi);
                    wi += CO;
                }
                for (var c = 0u; c < some(C2, arrayLength(&x2)); c++) {
                    let xi = voxel * C2 + c;
                    sum += float_of(x2[word(xi, T_HALF)], xi, T_HALF) * weight(wi);
                    wi += CO;
                }
            }
        }
    }
    if HAS_B {
        sum += bitcast<f32>(b[co]);
    }
    return sum;
}
