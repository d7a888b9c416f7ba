// HalfCopy: y = w, rounded to halves, after a Step that was taken
//
//   w [COUNT]   y halves [COUNT]   ctl: finite 4
//
// One invocation makes two elements. Dispatch: WORDS.
//
// Prelude: COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= WORDS || ctl[4] == 0.0 {
        return;
    }
    var second = 0.0; // beyond the value: a gap, which is zero
    if 2u * i + 1u < COUNT {
        second = w[2u * i + 1u];
    }
    y[i] = halves(w[2u * i], second);
}
