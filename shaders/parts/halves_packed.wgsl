// halves_packed: words of two halves, on devices that have no halves themselves.

fn pair_of(w: u32) -> vec2<f32> {
    return unpack2x16float(w);
}

// v as a half, to nearest, ties to even, which pack2x16float does not promise.
fn half_bits(v: f32) -> u32 {
    let u = bitcast<u32>(v);
    let s = (u >> 16u) & 0x8000u;
    let m = u & 0x7fffffffu;
    if m > 0x7f800000u {
        return s | 0x7e00u;
    }
    if m >= 0x477ff000u { // half way from 65504 to 65536
        return s | 0x7c00u;
    }
    if m >= 0x38800000u { // 2^-14
        return s | ((m + 0xfffu + ((m >> 13u) & 1u) - 0x38000000u) >> 13u);
    }
    if m < 0x33000000u { // 2^-25, half of the smallest half
        return s;
    }
    let shift = 126u - (m >> 23u);
    let whole = (m & 0x7fffffu) | 0x800000u;
    let q = whole >> shift;
    let rest = whole & ((1u << shift) - 1u);
    let middle = 1u << (shift - 1u);
    return s | (q + select(0u, 1u, rest > middle || (rest == middle && (q & 1u) == 1u)));
}

fn halves(a: f32, b: f32) -> u32 {
    return half_bits(a) | (half_bits(b) << 16u);
}
