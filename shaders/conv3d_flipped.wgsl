// Conv3DFlipped: the weights by which a gradient of y becomes that of x
//
//   w [TAPS CI CO]   y f32 [TAPS CO C]: w's channels C0 to C0+C−1 of x, those of y first
//
// FLIP: the last tap comes first, as Conv3D of stride 1 wants it; UpConv3D has the
// taps in their order. One invocation makes four of a row. C is a multiple of 4.
// Dispatch: COUNT = TAPS·CO·C/4.
//
// Prelude: W_HALF, FLIP (bool); TAPS, CI, CO, C, C0, COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> w: array<u32>;

fn weight(i: u32) -> f32 {
    return float_of(w[word(i, W_HALF)], i, W_HALF);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let c = i % (C / 4u) * 4u;
    let co = i / (C / 4u) % CO;
    let k = i / (C / 4u * CO);
    let tap = select(k, TAPS - 1u - k, FLIP);
    let at = (tap * CI + C0 + c) * CO + co;
    y[i] = vec4<f32>(weight(at), weight(at + CO), weight(at + 2u * CO), weight(at + 3u * CO));
}
