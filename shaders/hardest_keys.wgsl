// HardestKeys: the bits of the cross entropy of each voxel plus 1, 0 where the label is ignored
//
//   logits [N D H W K]   labels u8 [N D·SD H·SH W·SW]   keys [N D H W]
//
// The bits of floats ≥ 0 have the order of the floats. One invocation makes the key
// of one voxel. Dispatch: COUNT = N·D·H·W.
//
// Prelude: T_HALF (bool); H, W, K, SD, SH, SW, IGNORE (256: none), COUNT, GRID
// (u32); SMOOTHING (f32), see seg_sums.

@group(0) @binding(0) var<storage, read_write> keys: array<u32>;
@group(0) @binding(1) var<storage, read_write> logits: array<u32>;
@group(0) @binding(2) var<storage, read_write> labels: array<u32>;

fn logit(i: u32) -> f32 {
    return float_of(logits[word(i, T_HALF)], i, T_HALF);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let v = id.x + (first_row + id.y) * GRID;
    if v >= COUNT {
        return;
    }
    let d = v / (W * H); // of all samples: their planes follow each other
    let li = ((d * SD + SD / 2u) * H * SH + v / W % H * SH + SH / 2u) * W * SW + v % W * SW + SW / 2u;
    let label = byte_of(labels[li / 4u], li);
    if label == IGNORE {
        keys[v] = 0u;
        return;
    }
    var top = logit(v * K);
    for (var j = 1u; j < K; j++) {
        top = max(top, logit(v * K + j));
    }
    var all = 0.0;
    for (var j = 0u; j < K; j++) {
        all += exp32(logit(v * K + j) - top);
    }
    let z = logit(v * K + select(label, 0u, label >= K));
    var ce = log32(all) + (top - z);
    if SMOOTHING != 0.0 {
        var mean = 0.0;
        for (var j = 0u; j < K; j++) {
            mean += logit(v * K + j) / f32(K);
        }
        ce += SMOOTHING * (z - mean);
    }
    keys[v] = bitcast<u32>(max(ce, 0.0)) + 1u;
}
