// prelude: what every kernel has in front of it, between device.cuh and its
// constants: how values are stored, and small functions.

// The thread among all of a grid of one axis.
DEVICE unsigned thread() { return blockIdx.x * blockDim.x + threadIdx.x; }

DEVICE float float_of(f32 v) { return v; }
DEVICE float float_of(bf16 v) { return float_from((unsigned)v.bits << 16); }

// v as it is stored: to nearest, ties to even.
template <class T> DEVICE T stored(float v);
template <> DEVICE f32 stored<f32>(float v) { return v; }
template <> DEVICE f16 stored<f16>(float v) { return f16_of(v); }
template <> DEVICE bf16 stored<bf16>(float v) {
    const unsigned u = bits_of(v);
    bf16 h;
    if ((u & 0x7fffffffu) > 0x7f800000u) {
        h.bits = 0x7fff;
    } else {
        h.bits = (unsigned short)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
    }
    return h;
}

DEVICE bool finite(float v) { return (bits_of(v) & 0x7f800000u) != 0x7f800000u; }

DEVICE float leaky(float v, float slope) { return v >= 0.0f ? v : slope * v; }

// x to the power y, 0 for x = 0.
DEVICE float power(float x, float y) { return x <= 0.0f ? 0.0f : powf(x, y); }

// floor(a·n + ½), exact for a ≥ 0 and n below 4096: both parts of the product are.
DEVICE int round_times(float a, unsigned n) {
    const float high = float_from(bits_of(a) & 0xfffff000u);
    const float p = high * (float)n;
    const float rest = p - floorf(p);
    const float more = (a - high) * (float)n;
    return (int)floorf(p) + (more >= 0.5f - rest) + (more >= 1.5f - rest);
}
