// MomentsFold: the moments of a channel from those of its blocks (Chan et al. 1979)
//
//   parts [N BLOCKS C 4]   out [N C 4]: mean, variance, minimum, maximum
//   STATS: out [N C 2]: mean, 1/√(variance + EPS), as NormAct hands them out
//
// One invocation makes those of one channel. Dispatch: COUNT = N·C.
//
// Prelude: STATS (bool); V, C, BLOCK, BLOCKS, COUNT, GRID (u32); EPS (f32).

@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@group(0) @binding(1) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + id.y * GRID;
    if i >= COUNT {
        return;
    }
    let base = i / C * BLOCKS * C + i % C;
    let origin = parts[4u * base]; // of the differences whose mean is made: they are small
    var sum = 0.0;
    var low = parts[4u * base + 2u];
    var high = parts[4u * base + 3u];
    for (var b = 0u; b < BLOCKS; b++) {
        let p = 4u * (base + b * C);
        let size = f32(min(BLOCK, V - b * BLOCK));
        sum += size * (parts[p] - origin);
        low = min(low, parts[p + 2u]);
        high = max(high, parts[p + 3u]);
    }
    let mean = origin + sum / f32(V);
    var squares = 0.0;
    for (var b = 0u; b < BLOCKS; b++) {
        let p = 4u * (base + b * C);
        let size = f32(min(BLOCK, V - b * BLOCK));
        let away = parts[p] - mean;
        squares += parts[p + 1u] + size * away * away;
    }
    let variance = squares / f32(V);
    if STATS {
        out[2u * i] = mean;
        out[2u * i + 1u] = 1.0 / sqrt(variance + EPS);
    } else {
        out[4u * i] = mean;
        out[4u * i + 1u] = variance;
        out[4u * i + 2u] = low;
        out[4u * i + 3u] = high;
    }
}
