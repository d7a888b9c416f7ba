// Halve: y = x, rounded to halves
//
//   x f32 [COUNT]   y halves [COUNT]
//
// One invocation makes two elements. Dispatch: WORDS.
//
// Prelude: COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i < WORDS {
        y[i] = halves(x[2u * i], x[min(2u * i + 1u, COUNT - 1u)]);
    }
}
