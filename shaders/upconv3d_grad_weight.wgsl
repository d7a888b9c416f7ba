// UpConv3DGradWeight: dw[k ci co] = Σ dy[n i·s + k co] · x[n i ci]
//
//   dy [N D·SD H·SH W·SW CO]   x [N D H W CI]   parts [SPLITS SD SH SW CI CO]
//
// One invocation sums one weight over the rows r of x, r mod SPLITS its own;
// fold adds the parts. Dispatch: COUNT = SPLITS·SD·SH·SW·CI·CO.
//
// Prelude: T_HALF (bool); N, D, H, W, CI, CO, SD, SH, SW, SPLITS, COUNT, GRID (u32).

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
    let ci = i / CO % CI;
    let k = i / (CO * CI) % (SD * SH * SW);
    let part = i / (CO * CI * SD * SH * SW);
    var sum = 0.0;
    for (var row = part; row < N * D * H; row += SPLITS) {
        let oh = row % H * SH + k / SW % SH;
        let od = row / H * SD + k / (SH * SW); // of all samples
        for (var xw = 0u; xw < W; xw++) {
            let xi = (row * W + xw) * CI + ci;
            let yi = ((od * H * SH + oh) * W * SW + xw * SW + k % SW) * CO + co;
            sum += float_of(dy[word(yi, T_HALF)], yi, T_HALF) * float_of(x[word(xi, T_HALF)], xi, T_HALF);
        }
    }
    parts[i] = sum;
}
