// HalfProbe: what a device makes of halves: y = halves of x, z = floats of w
//
//   x f32 [2·COUNT]   w f16 [2·COUNT]   y f16 [2·COUNT]   z f32 [2·COUNT]
//
// One invocation makes a pair of each. Dispatch: COUNT.
//
// Prelude: COUNT, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> z: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> x: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> w: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= COUNT {
        return;
    }
    let e = x[i];
    y[i] = halves(e.x, e.y);
    z[i] = pair_of(w[i]);
}
