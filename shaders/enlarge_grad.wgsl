// EnlargeGrad: dx[n i c] = Σ dy[n o c]·Π share(o, i), see enlarge
//
//   dy [N D·SD H·SH W·SW C]   dx [N D H W C]
//
// One invocation makes one word of dx. Dispatch: WORDS.
//
// Prelude: T_HALF (bool); D, H, W, C, SD, SH, SW, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> dx: array<u32>;
@group(0) @binding(1) var<storage, read_write> dy: array<u32>;

fn share(o: u32, i: u32, n: u32, m: u32) -> f32 {
    if n == 1u {
        return 1.0;
    }
    let away = abs(i32(o * (n - 1u)) - i32(i * (m - 1u)));
    return f32(max(i32(m - 1u) - away, 0)) / f32(m - 1u);
}

// The first position that voxel i may have a share of, and the one behind the last.
fn reach(i: u32, n: u32, m: u32) -> vec2<u32> {
    if n == 1u {
        return vec2<u32>(0u, m);
    }
    return vec2<u32>((max(i, 1u) - 1u) * (m - 1u) / (n - 1u), min(m, (i + 1u) * (m - 1u) / (n - 1u) + 1u));
}

fn element(i: u32) -> f32 {
    let c = i % C;
    let w = i / C % W;
    let h = i / (C * W) % H;
    let d = i / (C * W * H) % D;
    let n = i / (C * W * H * D);
    let rd = reach(d, D, D * SD);
    let rh = reach(h, H, H * SH);
    let rw = reach(w, W, W * SW);
    var sum = 0.0;
    for (var od = rd.x; od < rd.y; od++) {
        let fd = share(od, d, D, D * SD);
        for (var oh = rh.x; oh < rh.y; oh++) {
            let fh = fd * share(oh, h, H, H * SH);
            for (var ow = rw.x; ow < rw.y; ow++) {
                let yi = (((n * D * SD + od) * H * SH + oh) * W * SW + ow) * C + c;
                sum += fh * share(ow, w, W, W * SW) * float_of(dy[word(yi, T_HALF)], yi, T_HALF);
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
