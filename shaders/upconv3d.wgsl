// UpConv3D: y[n o co] = b[co] + Σ x[n ⌊o/s⌋ ci] · w[o mod s, ci co]
//
//   x [N D H W CI]   w [SD SH SW CI CO]   b [CO]   y [N D·SD H·SH W·SW CO]
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF, W_HALF, HAS_B (bool); D, H, W, CI, CO, SD, SH, SW, COUNT,
// WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> w: array<u32>;
@group(0) @binding(3) var<storage, read_write> b: array<u32>;

fn element(i: u32) -> f32 {
    let co = i % CO;
    var v = i / CO;
    let ow = v % (W * SW);
    v = v / (W * SW);
    let oh = v % (H * SH);
    v = v / (H * SH);
    let od = v % (D * SD);
    let n = v / (D * SD);
    var xi = (((n * D + od / SD) * H + oh / SH) * W + ow / SW) * CI;
    var wi = ((od % SD * SH + oh % SH) * SW + ow % SW) * CI * CO + co;
    var sum = 0.0;
    for (var ci = 0u; ci < CI; ci++) {
        sum += float_of(x[word(xi, T_HALF)], xi, T_HALF) * float_of(w[word(wi, W_HALF)], wi, W_HALF);
        xi++;
        wi += CO;
    }
    if HAS_B {
        sum += bitcast<f32>(b[co]);
    }
    return sum;
}
