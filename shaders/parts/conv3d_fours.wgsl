// conv3d_fours: the inputs and the output of convolutions of channels in fours. Of
// the kernel it takes x and x2, whose words it binds in fours, C1, C2 and CO.

// Channels 4c to 4c+3 of both inputs of a voxel; 0 beside the row.
fn x_at(voxel: u32, c: u32, inside: bool) -> vec4<f32> {
    var e: vec4<f32>;
    if C2 > 0u && c >= C1 / 4u {
        let i = voxel * (C2 / 4u) + c - C1 / 4u;
        if T_HALF {
            e = unpacked(x2[i >> 1u], (i & 1u) == 1u);
        } else {
            e = bitcast<vec4<f32>>(x2[i]);
        }
    } else {
        let i = voxel * (C1 / 4u) + c;
        if T_HALF {
            e = unpacked(x[i >> 1u], (i & 1u) == 1u);
        } else {
            e = bitcast<vec4<f32>>(x[i]);
        }
    }
    return select(vec4<f32>(), e, inside);
}

// Channels 4·co on of voxel i of y, if it is there.
fn store(i: u32, co: u32, v: vec4<f32>, there: bool) {
    if there {
        store_four(i * (CO / 4u) + co, v);
    }
}
