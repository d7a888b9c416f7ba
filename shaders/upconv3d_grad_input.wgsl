// UpConv3DGradInput: dx[n i ci] = Σ dy[n i·s + k co] · w[k ci co]
//
//   dy [N D·SD H·SH W·SW CO]   w [SD SH SW CI CO]   dx [N D H W CI]
//
// One invocation makes one word of dx. Dispatch: WORDS.
//
// Prelude: T_HALF, W_HALF (bool); D, H, W, CI, CO, SD, SH, SW, COUNT, WORDS,
// GRID (u32).

@group(0) @binding(0) var<storage, read_write> dx: array<u32>;
@group(0) @binding(1) var<storage, read_write> dy: array<u32>;
@group(0) @binding(2) var<storage, read_write> w: array<u32>;

fn element(i: u32) -> f32 {
    let ci = i % CI;
    var v = i / CI;
    let xw = v % W;
    v = v / W;
    let xh = v % H;
    v = v / H;
    let xd = v % D;
    let n = v / D;
    var sum = 0.0;
    for (var k = 0u; k < SD * SH * SW; k++) {
        let od = xd * SD + k / (SH * SW);
        let oh = xh * SH + k / SW % SH;
        let ow = xw * SW + k % SW;
        var yi = (((n * D * SD + od) * H * SH + oh) * W * SW + ow) * CO;
        var wi = (k * CI + ci) * CO;
        for (var co = 0u; co < CO; co++) {
            sum += float_of(dy[word(yi, T_HALF)], yi, T_HALF) * float_of(w[word(wi, W_HALF)], wi, W_HALF);
            yi++;
            wi++;
        }
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= WORDS {
        return;
    }
    if T_HALF {
        dx[i] = halves(element(2u * i), element(min(2u * i + 1u, COUNT - 1u)));
    } else {
        dx[i] = bitcast<u32>(element(i));
    }
}
