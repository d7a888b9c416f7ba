// BlankValues: the means of boxes, one after the other, each over what those before it have made
//
//   values [N C BOXES]   x [N D H W C]   ctl: rows of [N C BOXES 6] from CTL on: first voxel and size
//
// A workgroup makes those of one channel: its invocations add the voxels of a box, and the
// first what they have. Dispatch: N·C workgroups, CHANNELS of them.
//
// Prelude: T_HALF (bool); D, H, W, C, BOXES, CTL, CHANNELS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;

var<workgroup> sums: array<f32, 64>;
var<workgroup> means: array<f32, BOXES>;

fn first_of(r: u32) -> vec3<u32> {
    return vec3<u32>(u32(ctl[r]), u32(ctl[r + 1u]), u32(ctl[r + 2u]));
}

// The value of voxel o before box b.
fn value(channel: u32, b: u32, o: vec3<u32>) -> f32 {
    for (var before = b; before > 0u; before--) {
        let r = CTL + 6u * (channel * BOXES + before - 1u);
        let first = first_of(r);
        if all(o >= first) && all(o < first + first_of(r + 3u)) {
            return means[before - 1u];
        }
    }
    let i = (((channel / C * D + o.x) * H + o.y) * W + o.z) * C + channel % C;
    return float_of(x[word(i, T_HALF)], i, T_HALF);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) own: u32) {
    let g = group.x + (first_row + group.y) * (GRID / 64u);
    let channel = min(g, CHANNELS - 1u); // what is beyond the last keeps step
    for (var b = 0u; b < BOXES; b++) {
        let r = CTL + 6u * (channel * BOXES + b);
        let first = first_of(r);
        let size = first_of(r + 3u);
        let count = size.x * size.y * size.z;
        var sum = 0.0;
        for (var k = own; k < count; k += 64u) {
            sum += value(channel, b, first + vec3<u32>(k / (size.y * size.z), k / size.z % size.y, k % size.z));
        }
        sums[own] = sum;
        workgroupBarrier();
        if own == 0u {
            sum = 0.0;
            for (var j = 0u; j < 64u; j++) {
                sum += sums[j];
            }
            means[b] = sum / f32(max(count, 1u));
        }
        workgroupBarrier();
    }
    for (var b = own; b < BOXES && g < CHANNELS; b += 64u) {
        values[channel * BOXES + b] = means[b];
    }
}
