// GradNorm: norm = √Σg² / scale   factor = min(1, clip/(norm + 1e-6)) / scale   into ctl
//
//   parts [COUNT 2], see grad_norm_parts   ctl: rate, scale, clip, norm, finite, factor, good, steps, skipped
//
// One invocation makes all. Dispatch: 1.
//
// Prelude: COUNT, GROWTH (u32).

@group(0) @binding(0) var<storage, read_write> ctl: array<f32>;
@group(0) @binding(1) var<storage, read_write> parts: array<f32>;

@compute @workgroup_size(1)
fn main() {
    var squares = 0.0;
    var faults = 0.0;
    for (var i = 0u; i < COUNT; i++) {
        squares += parts[2u * i];
        faults += parts[2u * i + 1u];
    }
    let scale = ctl[1];
    if faults > 0.0 {
        ctl[4] = 0.0;
        ctl[6] = 0.0;
        ctl[8] = ctl[8] + 1.0;
        if GROWTH > 0u {
            ctl[1] = scale / 2.0;
        }
        return;
    }
    let norm = sqrt(squares) / scale;
    var factor = 1.0;
    if ctl[2] > 0.0 {
        factor = min(1.0, ctl[2] / (norm + 1e-6));
    }
    ctl[3] = norm;
    ctl[4] = 1.0;
    ctl[5] = factor / scale;
    ctl[7] = ctl[7] + 1.0;
    ctl[6] = ctl[6] + 1.0;
    if GROWTH > 0u && ctl[6] >= f32(GROWTH) {
        ctl[6] = 0.0;
        ctl[1] = scale * 2.0;
    }
}
