// AvgPool: y[n o c] = Σ x[n o·s + k c] / (SD·SH·SW)
//
//   x [N D·SD H·SH W·SW C]   y [N D H W C]
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF (bool); H, W, C, SD, SH, SW, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;

fn element(i: u32) -> f32 {
    let c = i % C;
    let w = i / C % W;
    let h = i / (C * W) % H;
    let d = i / (C * W * H); // of all samples
    var sum = 0.0;
    for (var k = 0u; k < SD * SH * SW; k++) {
        let xd = d * SD + k / (SH * SW);
        let xh = h * SH + k / SW % SH;
        let xi = ((xd * H * SH + xh) * W * SW + w * SW + k % SW) * C + c;
        sum += float_of(x[word(xi, T_HALF)], xi, T_HALF);
    }
    return sum / f32(SD * SH * SW);
}
