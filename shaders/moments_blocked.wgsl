// Moments of channels in fours: mean, Σ(x − mean)², minimum and maximum of BLOCK voxels, see moments
//
//   x [N V C]   parts [N BLOCKS C 4]
//
// One invocation makes those of 4 channels of one block, of 8 where x is halves: it
// loads four words at once. C is a multiple of that. Dispatch: COUNT = N·BLOCKS·C/4
// or C/8.
//
// Prelude: T_HALF (bool); V, C, BLOCK, BLOCKS, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> parts: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<u32>>;

struct Eight {
    a: vec4<f32>,
    b: vec4<f32>, // of halves
}

fn load(i: u32) -> Eight {
    let p = x[i];
    if T_HALF {
        return Eight(
            vec4<f32>(pair_of(p.x), pair_of(p.y)),
            vec4<f32>(pair_of(p.z), pair_of(p.w)),
        );
    }
    return Eight(bitcast<vec4<f32>>(p), vec4<f32>());
}

fn store(at: u32, mean: vec4<f32>, squares: vec4<f32>, low: vec4<f32>, high: vec4<f32>) {
    parts[at] = vec4<f32>(mean.x, squares.x, low.x, high.x);
    parts[at + 1u] = vec4<f32>(mean.y, squares.y, low.y, high.y);
    parts[at + 2u] = vec4<f32>(mean.z, squares.z, low.z, high.z);
    parts[at + 3u] = vec4<f32>(mean.w, squares.w, low.w, high.w);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let channels = select(4u, 8u, T_HALF);
    let c = i % (C / channels);
    let block = i / (C / channels) % BLOCKS;
    let n = i / (C / channels * BLOCKS);
    let first = block * BLOCK;
    let size = min(BLOCK, V - first);
    let begin = (n * V + first) * (C / channels) + c;
    var low = load(begin);
    var high = low;
    var sum = Eight();
    for (var v = 0u; v < size; v++) {
        let e = load(begin + v * (C / channels));
        sum.a += e.a;
        low.a = min(low.a, e.a);
        high.a = max(high.a, e.a);
        if T_HALF {
            sum.b += e.b;
            low.b = min(low.b, e.b);
            high.b = max(high.b, e.b);
        }
    }
    let mean = Eight(sum.a / f32(size), sum.b / f32(size));
    var squares = Eight();
    for (var v = 0u; v < size; v++) {
        let e = load(begin + v * (C / channels));
        let away = e.a - mean.a;
        squares.a += away * away;
        if T_HALF {
            let more = e.b - mean.b;
            squares.b += more * more;
        }
    }
    let at = (n * BLOCKS + block) * C + c * channels;
    store(at, mean.a, squares.a, low.a, high.a);
    if T_HALF {
        store(at + 4u, mean.b, squares.b, low.b, high.b);
    }
}
