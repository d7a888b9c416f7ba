// Mask: y = 0 in the chosen channels where the label is 255, else x
//
//   x, y [V C]   labels u8 [V]   chosen [C]
//
// One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF (bool); C, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> labels: array<u32>;
@group(0) @binding(3) var<storage, read_write> chosen: array<u32>;

fn element(i: u32) -> f32 {
    let v = i / C;
    if chosen[i % C] == 1u && byte_of(labels[v / 4u], v) == 255u {
        return 0.0;
    }
    return float_of(x[word(i, T_HALF)], i, T_HALF);
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
