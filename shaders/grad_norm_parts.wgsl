// GradNormParts: Σ g² and whether every g is finite, of 4096 gradients
//
//   grads [COUNT]   parts [GROUPS 2], from FIRST on
//
// A workgroup makes one part: each invocation 64 gradients, then a tree. Gaps
// between gradients are zero. Dispatch: GROUPS workgroups.
//
// Prelude: COUNT, FIRST, GROUPS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> grads: array<f32>;

var<workgroup> squares: array<f32, 64>;
var<workgroup> faults: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = group.x + (first_row + group.y) * (GRID / 64u);
    var sum = 0.0;
    var fault = 0.0;
    for (var j = 0u; j < 64u; j++) {
        let i = at * 4096u + j * 64u + lane;
        if i < COUNT {
            let g = grads[i];
            if finite(g) {
                sum += g * g;
            } else {
                fault = 1.0;
            }
        }
    }
    squares[lane] = sum;
    faults[lane] = fault;
    workgroupBarrier();
    for (var n = 32u; n > 0u; n = n >> 1u) {
        if lane < n {
            squares[lane] += squares[lane + n];
            faults[lane] += faults[lane + n];
        }
        workgroupBarrier();
    }
    if lane == 0u && at < GROUPS {
        parts[2u * (FIRST + at)] = squares[0];
        parts[2u * (FIRST + at) + 1u] = faults[0];
    }
}
