// Add, AddAct: y = leaky(a + b)      ActGrad (GRAD): y = b ≥ 0 ? a : SLOPE·a
//
//   a, b, y [COUNT]
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF, GRAD (bool); COUNT, WORDS, GRID (u32); SLOPE (f32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> a: array<u32>;
@group(0) @binding(2) var<storage, read_write> b: array<u32>;

fn element(i: u32) -> f32 {
    let u = float_of(a[word(i, T_HALF)], i, T_HALF);
    let v = float_of(b[word(i, T_HALF)], i, T_HALF);
    if GRAD {
        return select(SLOPE * u, u, v >= 0.0);
    }
    return leaky(u + v, SLOPE);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= WORDS {
        return;
    }
    if T_HALF {
        y[i] = halves(element(2u * i), element(min(2u * i + 1u, COUNT - 1u)));
    } else {
        y[i] = bitcast<u32>(element(i));
    }
}
