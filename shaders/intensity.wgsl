// Intensity: what KIND does with a value v and its parameter a; a = 0 changes nothing
//
//   x, y [N V C]   ctl: a of [N C] from CTL on, seed at SEED   whole, powers [N C 4]: moments of x and of gamma's powers
//   0 noise: v + a·normal   1 brightness: v·a   2 shift: v + a   3 contrast: (v − mean)·a + mean within [min, max]
//   4 v·a within [min, max]   5 as 3 without bounds   6 gamma, 7 on −v: the power a of v's place in [min, max], with mean and deviation as before
//
// normal = √(−2·ln u)·cos(2π·t) of two words of Philox 2×32-10 (Salmon et al.
// 2011). One invocation makes one word of y. Dispatch: WORDS.
//
// Prelude: T_HALF, INVERT (bool); KIND, V, C, CTL, SEED, FIRST, COUNT, WORDS, GRID (u32).

@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> ctl: array<f32>;
@group(0) @binding(3) var<storage, read_write> whole: array<f32>;
@group(0) @binding(4) var<storage, read_write> powers: array<f32>;

// The power of the place of e in the range of its channel; INVERT: of −e.
fn power(e: f32, low: f32, high: f32, a: f32) -> f32 {
    var place = 0.0;
    if INVERT {
        place = (high - e) / (high - low);
    } else {
        place = (e - low) / (high - low);
    }
    return pow32(min(place, 1.0), a);
}

// The high word of a·b.
fn high_word(a: u32, b: u32) -> u32 {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let middle = ah * bl + ((al * bl) >> 16u);
    let other = al * bh + (middle & 0xffffu);
    return ah * bh + (middle >> 16u) + (other >> 16u);
}

fn normal(i: u32) -> f32 {
    var a = i + FIRST;
    var b = u32(ctl[SEED + 1u]);
    var key = u32(ctl[SEED]);
    for (var round_ = 0u; round_ < 10u; round_++) {
        let high = high_word(a, 0xD256D193u);
        let low = a * 0xD256D193u;
        a = high ^ key ^ b;
        b = low;
        key += 0x9E3779B9u;
    }
    let u = f32((a >> 8u) + 1u) * 5.9604644775390625e-8; // 2^-24
    let t = f32(b >> 8u) * 5.9604644775390625e-8;
    return sqrt(-2.0 * log32(u)) * cos_turn(t);
}

fn element(i: u32) -> f32 {
    let v = float_of(x[word(i, T_HALF)], i, T_HALF);
    let channel = i / (V * C) * C + i % C;
    let a = ctl[CTL + channel];
    if a == 0.0 {
        return v;
    }
    if KIND == 0u {
        return v + a * normal(i);
    }
    if KIND == 1u {
        return v * a;
    }
    if KIND == 2u {
        return v + a;
    }
    let mean = whole[4u * channel];
    let low = whole[4u * channel + 2u];
    let high = whole[4u * channel + 3u];
    if KIND == 3u {
        return clamp((v - mean) * a + mean, low, high);
    }
    if KIND == 5u {
        return (v - mean) * a + mean;
    }
    if KIND == 4u {
        return clamp(v * a, low, high);
    }
    if low == high {
        return v;
    }
    let factor = sqrt(whole[4u * channel + 1u]) / sqrt(powers[4u * channel + 1u]);
    let r = (power(v, low, high, a) - powers[4u * channel]) * factor;
    if INVERT {
        return mean - r;
    }
    return mean + r;
}
