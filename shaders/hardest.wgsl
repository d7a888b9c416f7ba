// Hardest: the class of the voxels whose cross entropy is among the largest, 255 for the others
//
//   keys [N D H W], see hardest_keys   pick [2], see hardest_pick   labels u8 [N D·SD H·SH W·SW]   y u8 [N D H W]
//
// One invocation makes four labels. Dispatch: WORDS.
//
// Prelude: H, W, K, SD, SH, SW, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> keys: array<u32>;
@group(0) @binding(3) var<storage, read_write> pick: array<u32>;

fn element(v: u32) -> u32 {
    let key = keys[v];
    if key == 0u || key < pick[0] || (key == pick[0] && v > pick[1]) {
        return 255u;
    }
    let d = v / (W * H);
    let li = ((d * SD + SD / 2u) * H * SH + v / W % H * SH + SH / 2u) * W * SW + v % W * SW + SW / 2u;
    let label = byte_of(labels[li / 4u], li);
    return select(label, 0u, label >= K);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= WORDS {
        return;
    }
    var four = 0u;
    for (var j = 0u; j < 4u; j++) {
        if 4u * i + j < COUNT {
            four |= element(4u * i + j) << (8u * j);
        }
    }
    y[i] = four;
}
