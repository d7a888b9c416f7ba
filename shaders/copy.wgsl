// Copy: y = x, for kernels that take one value twice
//
//   x, y [COUNT] words
//
// One invocation copies one word. Dispatch: COUNT.
//
// Prelude: COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i < COUNT {
        y[i] = x[i];
    }
}
