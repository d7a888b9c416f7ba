// prelude: what every kernel has in front of it, behind its constants: how
// values are stored, and the functions that WGSL promises too little of.
//
// All memory is array<u32>. A value of 32 bits is a word, of 16 bits half of
// one, the first in the low half; of 8 bits a quarter.

// The word that element i lies in.
fn word(i: u32, half: bool) -> u32 {
    return select(i, i >> 1u, half);
}

// n elements of an array of so many words. Above a few the compiler does not know
// the number: unrolled within the loops of a kernel, a loop over channels makes
// modules that take seconds to compile.
fn some(n: u32, words: u32) -> u32 {
    if n > 4u {
        return min(n, 2u * words);
    }
    return n;
}

// Element i, whose word is w.
fn float_of(w: u32, i: u32, half: bool) -> f32 {
    if half {
        let pair = unpack2x16float(w);
        return select(pair.x, pair.y, (i & 1u) == 1u);
    }
    return bitcast<f32>(w);
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

fn byte_of(w: u32, i: u32) -> u32 {
    return (w >> ((i & 3u) * 8u)) & 255u;
}

fn finite(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u;
}

fn leaky(v: f32, slope: f32) -> f32 {
    return select(slope * v, v, v >= 0.0);
}

// exp within 2 ULP: 2^n times a polynomial on ±½·ln 2 (Cephes).
fn exp32(x: f32) -> f32 {
    if x < -87.3 {
        return 0.0;
    }
    let n = clamp(floor(x * 1.44269504 + 0.5), -126.0, 127.0);
    var r = x - n * 0.693359375;
    r = r + n * 2.12194440e-4;
    var p = 1.9875691500e-4;
    p = p * r + 1.3981999507e-3;
    p = p * r + 8.3334519073e-3;
    p = p * r + 4.1665795894e-2;
    p = p * r + 1.6666665459e-1;
    p = p * r + 5.0000001201e-1;
    let e = p * r * r + r + 1.0;
    return e * bitcast<f32>(u32(i32(n) + 127) << 23u);
}

// log within 2 ULP for normal x > 0: a polynomial on [√½, √2) (Cephes).
fn log32(v: f32) -> f32 {
    let u = bitcast<u32>(v);
    var e = i32(u >> 23u) - 126;
    var x = bitcast<f32>((u & 0x7fffffu) | 0x3f000000u);
    if x < 0.707106781 {
        e = e - 1;
        x = x + x;
    }
    x = x - 1.0;
    let z = x * x;
    var p = 7.0376836292e-2;
    p = p * x - 1.1514610310e-1;
    p = p * x + 1.1676998740e-1;
    p = p * x - 1.2420140846e-1;
    p = p * x + 1.4249322787e-1;
    p = p * x - 1.6668057665e-1;
    p = p * x + 2.0000714765e-1;
    p = p * x - 2.4999993993e-1;
    p = p * x + 3.3333331174e-1;
    let f = f32(e);
    let y = x * z * p - 2.12194440e-4 * f - 0.5 * z;
    return x + y + 0.693359375 * f;
}

// x to the power y, 0 for x = 0.
fn pow32(x: f32, y: f32) -> f32 {
    if x <= 0.0 {
        return 0.0;
    }
    return exp32(y * log32(x));
}

// cos(2π·t) for t in [0, 1), within 2 ULP: quarter turns, then a polynomial.
fn cos_turn(t: f32) -> f32 {
    let quarters = floor(t * 4.0 + 0.5);
    let f = (t * 4.0 - quarters) * 1.57079633;
    let z = f * f;
    var s = -1.9515295891e-4;
    s = s * z + 8.3321608736e-3;
    s = s * z - 1.6666654611e-1;
    let sine = s * z * f + f;
    var c = 2.443315711809948e-5;
    c = c * z - 1.388731625493765e-3;
    c = c * z + 4.166664568298827e-2;
    let cosine = c * z * z - 0.5 * z + 1.0;
    let q = u32(quarters) & 3u;
    let v = select(cosine, sine, (q & 1u) == 1u);
    return select(v, -v, q == 1u || q == 2u);
}

// floor(a·n + ½), exact for a ≥ 0 and n below 4096: both parts of the product are.
fn round_times(a: f32, n: u32) -> i32 {
    let high = bitcast<f32>(bitcast<u32>(a) & 0xfffff000u);
    let low = a - high;
    let p = high * f32(n);
    let whole = floor(p);
    let rest = p - whole;
    let more = low * f32(n);
    return i32(whole) + select(0, 1, more >= 0.5 - rest) + select(0, 1, more >= 1.5 - rest);
}

// Four channels of the voxels of a block, for kernels that work in blocks.
struct Block {
    v0: vec4<f32>,
    v1: vec4<f32>,
    v2: vec4<f32>,
    v3: vec4<f32>,
    v4: vec4<f32>,
    v5: vec4<f32>,
    v6: vec4<f32>,
    v7: vec4<f32>,
}

// Four of the eight halves of p.
fn unpacked(p: vec4<u32>, second: bool) -> vec4<f32> {
    let q = select(p.xy, p.zw, second);
    return vec4<f32>(unpack2x16float(q.x), unpack2x16float(q.y));
}

// sum + e · (r0 r1 r2 r3)
fn product(sum: vec4<f32>, e: vec4<f32>, r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>) -> vec4<f32> {
    return sum + e.x * r0 + e.y * r1 + e.z * r2 + e.w * r3;
}
