// GammaMoments: moments, see there, of the powers that Intensity's Gamma makes
//
//   x [N V C]   ctl: powers of [N C] from CTL on   whole [N C 4]: moments of x   parts [N BLOCKS C 4]
//
// One invocation makes those of one block. Dispatch: COUNT = N·BLOCKS·C.
//
// Prelude: T_HALF, INVERT (bool); V, C, BLOCK, BLOCKS, CTL, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;
@group(0) @binding(3) var<storage, read_write> whole: array<f32>;

// The power of the place of e in the range of its channel; INVERT: of −e.
fn power(e: f32, low: f32, high: f32, a: f32) -> f32 {
    var place = 0.0;
    if INVERT {
        place = (high - e) / (high - low);
    } else {
        place = (e - low) / (high - low);
    }
    return pow32(min(place, 1.0), a);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let c = i % C;
    let block = i / C % BLOCKS;
    let n = i / (C * BLOCKS);
    let a = ctl[CTL + n * C + c];
    let low = whole[4u * (n * C + c) + 2u];
    let high = whole[4u * (n * C + c) + 3u];
    let first = block * BLOCK;
    let last = min(first + BLOCK, V);
    var mean = 0.0;
    var squares = 0.0;
    if a != 0.0 && low < high {
        var sum = 0.0;
        for (var v = first; v < last; v++) {
            let j = (n * V + v) * C + c;
            sum += power(float_of(x[word(j, T_HALF)], j, T_HALF), low, high, a);
        }
        mean = sum / f32(last - first);
        for (var v = first; v < last; v++) {
            let j = (n * V + v) * C + c;
            let e = power(float_of(x[word(j, T_HALF)], j, T_HALF), low, high, a) - mean;
            squares += e * e;
        }
    }
    parts[4u * i] = mean;
    parts[4u * i + 1u] = squares;
    parts[4u * i + 2u] = 0.0;
    parts[4u * i + 3u] = 1.0;
}
