// fours: what kernels share that multiply blocks of voxels by weights, four channels
// at a time. Of the kernel it takes w, whose words it binds in fours, and y, in twos;
// W_HALF, T_HALF, and LONG: the block has eight voxels, else four.

// Four of the eight halves of p.
fn unpacked(p: vec4<u32>, second: bool) -> vec4<f32> {
    let q = select(p.xy, p.zw, second);
    return vec4<f32>(pair_of(q.x), pair_of(q.y));
}

// sum + e · (r0 r1 r2 r3)
fn product(sum: vec4<f32>, e: vec4<f32>, r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>) -> vec4<f32> {
    return sum + e.x * r0 + e.y * r1 + e.z * r2 + e.w * r3;
}

// Elements 4i to 4i+3 of w.
fn w_four(i: u32) -> vec4<f32> {
    if W_HALF {
        return unpacked(w[i >> 1u], (i & 1u) == 1u);
    }
    return bitcast<vec4<f32>>(w[i]);
}

// Elements 4·at to 4·at+3 of y.
fn store_four(at: u32, v: vec4<f32>) {
    if T_HALF {
        y[at] = vec2<u32>(halves(v.x, v.y), halves(v.z, v.w));
    } else {
        y[2u * at] = bitcast<vec2<u32>>(v.xy);
        y[2u * at + 1u] = bitcast<vec2<u32>>(v.zw);
    }
}

// Four channels of the block's x meet their rows of weights.
fn meet_rows(sums: Block, e: Block, r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>) -> Block {
    var s = sums;
    s.v0 = product(s.v0, e.v0, r0, r1, r2, r3);
    s.v1 = product(s.v1, e.v1, r0, r1, r2, r3);
    s.v2 = product(s.v2, e.v2, r0, r1, r2, r3);
    s.v3 = product(s.v3, e.v3, r0, r1, r2, r3);
    if LONG {
        s.v4 = product(s.v4, e.v4, r0, r1, r2, r3);
        s.v5 = product(s.v5, e.v5, r0, r1, r2, r3);
        s.v6 = product(s.v6, e.v6, r0, r1, r2, r3);
        s.v7 = product(s.v7, e.v7, r0, r1, r2, r3);
    }
    return s;
}
