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
