// MomentsFold: the moments of a channel from those of its blocks (Chan et al. 1979)
//
//   parts [N BLOCKS C 4]   out [N C 4]: mean, variance, minimum, maximum
//   STATS: out [N C 2]: mean, 1/√(variance + EPS), as NormAct hands them out
//
// A workgroup makes those of one channel: each invocation adds the blocks b, b mod
// 64 its own, and the first adds what the others have. Dispatch: N·C workgroups,
// COUNT of them.
//
// Prelude: STATS (bool); V, C, BLOCK, BLOCKS, COUNT, GRID (u32); EPS (f32).

@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@group(0) @binding(1) var<storage, read_write> parts: array<vec4<f32>>;

// Σ size·(mean − origin), minimum and maximum of an invocation and of all; Σ of
// squares of an invocation.
var<workgroup> sums: array<vec3<f32>, 64>;
var<workgroup> whole: vec3<f32>;
var<workgroup> squares: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) own: u32) {
    let i = group.x + (first_row + group.y) * (GRID / 64u);
    let channel = min(i, COUNT - 1u); // what is beyond the last keeps step
    let base = channel / C * BLOCKS * C + channel % C;
    let begin = parts[base];
    let origin = begin.x; // of the differences whose mean is made: they are small
    var sum = vec3<f32>(0.0, begin.zw);
    for (var b = own; b < BLOCKS; b += 64u) {
        let p = parts[base + b * C];
        sum.x += f32(min(BLOCK, V - b * BLOCK)) * (p.x - origin);
        sum.y = min(sum.y, p.z);
        sum.z = max(sum.z, p.w);
    }
    sums[own] = sum;
    workgroupBarrier();
    if own == 0u {
        var all = vec3<f32>(0.0, begin.zw);
        for (var j = 0u; j < min(BLOCKS, 64u); j++) {
            let s = sums[j];
            all.x += s.x;
            all.y = min(all.y, s.y);
            all.z = max(all.z, s.z);
        }
        whole = all;
    }
    workgroupBarrier();
    let mean = origin + whole.x / f32(V);
    var square = 0.0;
    for (var b = own; b < BLOCKS; b += 64u) {
        let p = parts[base + b * C];
        let away = p.x - mean;
        square += p.y + f32(min(BLOCK, V - b * BLOCK)) * away * away;
    }
    squares[own] = square;
    workgroupBarrier();
    if own > 0u || i >= COUNT {
        return;
    }
    square = 0.0;
    for (var j = 0u; j < min(BLOCKS, 64u); j++) {
        square += squares[j];
    }
    let variance = square / f32(V);
    if STATS {
        out[2u * i] = mean;
        out[2u * i + 1u] = 1.0 / sqrt(variance + EPS);
    } else {
        out[4u * i] = mean;
        out[4u * i + 1u] = variance;
        out[4u * i + 2u] = whole.y;
        out[4u * i + 3u] = whole.z;
    }
}
