// Conv3DGradInput: dx[n i c] = Σ dy[n o co] · w[k C0+c co]   over o·s + k − (K−1)/2 = i
//
//   dy [N OD OH OW CO]   w [KD KH KW CI CO]   dx [N D H W C], channels C0 … C0+C-1 of CI
//
// One invocation makes one word of dx. Dispatch: WORDS, once for each input of
// the convolution.
//
// Prelude: T_HALF, W_HALF (bool); D, H, W, C, C0, CI, CO, OD, OH, OW, KD, KH,
// KW, SD, SH, SW, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> dx: array<u32>;
@group(0) @binding(1) var<storage, read_write> dy: array<u32>;
@group(0) @binding(2) var<storage, read_write> w: array<u32>;

fn element(i: u32) -> f32 {
    let c = i % C;
    var v = i / C;
    let xw = v % W;
    v = v / W;
    let xh = v % H;
    v = v / H;
    let xd = v % D;
    let n = v / D;
    var sum = 0.0;
    for (var kd = 0u; kd < KD; kd++) {
        let pd = xd + (KD - 1u) / 2u - kd; // below 0 is above OD·SD
        let od = pd / SD;
        if od >= OD || od * SD != pd {
            continue;
        }
        for (var kh = 0u; kh < KH; kh++) {
            let ph = xh + (KH - 1u) / 2u - kh;
            let oh = ph / SH;
            if oh >= OH || oh * SH != ph {
                continue;
            }
            for (var kw = 0u; kw < KW; kw++) {
                let pw = xw + (KW - 1u) / 2u - kw;
                let ow = pw / SW;
                if ow >= OW || ow * SW != pw {
                    continue;
                }
                var yi = (((n * OD + od) * OH + oh) * OW + ow) * CO;
                var wi = (((kd * KH + kh) * KW + kw) * CI + C0 + c) * CO;
                for (var co = 0u; co < some(CO, arrayLength(&dy)); co++) {
                    sum += float_of(dy[word(yi, T_HALF)], yi, T_HALF) * float_of(w[word(wi, W_HALF)], wi, W_HALF);
                    yi++;
                    wi++;
                }
            }
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
