// prelude: what every kernel has in front of it, behind its constants: where it
// begins, how values are stored, and the functions that WGSL promises too little of.
//
// All memory is array<u32>. A value of 32 bits is a word, of 16 bits half of
// one, the first in the low half; of 8 bits a quarter.

// Workgroups lie in rows of GRID invocations. A dispatch that takes long is made in
// several, each of some rows.
@group(1) @binding(0) var<uniform> first_row: u32;

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
        let pair = pair_of(w);
        return select(pair.x, pair.y, (i & 1u) == 1u);
    }
    return bitcast<f32>(w);
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
