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

// The element in the low bits of a word, and such a word.
template <class T> DEVICE float element(unsigned word) {
    T v;
    v.bits = (unsigned short)word;
    return float_of(v);
}
template <> DEVICE float element<f32>(unsigned word) { return float_from(word); }
template <class T> DEVICE unsigned word_of(T v) { return v.bits; }
template <> DEVICE unsigned word_of<f32>(f32 v) { return bits_of(v); }

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

// 16 bytes of elements, at a multiple of 16 bytes.
template <class T, int PER> DEVICE void load_vector(float (&v)[PER], const T *from) {
    static_assert(PER * sizeof(T) == 16, "a vector has 16 bytes");
    const uint4 u = *(const uint4 *)from;
    const unsigned word[4] = {u.x, u.y, u.z, u.w};
    UNROLL for (int i = 0; i < PER; i++) {
        v[i] = element<T>(word[i * sizeof(T) / 4] >> i * sizeof(T) % 4 * 8);
    }
}

template <class T, int PER> DEVICE void store_vector(T *to, const float (&v)[PER]) {
    static_assert(PER * sizeof(T) == 16, "a vector has 16 bytes");
    unsigned word[4] = {0, 0, 0, 0};
    UNROLL for (int i = 0; i < PER; i++) {
        word[i * sizeof(T) / 4] |= word_of(stored<T>(v[i])) << i * sizeof(T) % 4 * 8;
    }
    *(uint4 *)to = make_uint4(word[0], word[1], word[2], word[3]);
}

// Where chunk c of 16 bytes of row r lies, in rows of so many bytes: chunks of eight
// rows that follow each other lie in different banks.
template <int BYTES> DEVICE unsigned swizzled(unsigned r, unsigned c) {
    static_assert(BYTES == 32 || BYTES == 64 || BYTES % 128 == 0, "rows are of 2, 4 or a multiple of 8 chunks");
    return r * BYTES + ((c ^ (BYTES == 64 ? r >> 1 & 3u : BYTES == 32 ? r >> 2 & 1u : r & 7u)) << 4);
}

// A chunk to shared memory, of whose elements there are so many, then zeros. whole:
// there are all or none, at a multiple of 16 bytes.
template <class T> DEVICE void load_chunk(bool whole, void *to, const T *from, unsigned there) {
    if (whole) {
        copy16(to, from, there > 0);
        return;
    }
    unsigned word[4] = {0, 0, 0, 0};
    UNROLL for (int i = 0; i < 16 / (int)sizeof(T); i++) {
        if (i < there) {
            word[i * sizeof(T) / 4] |= word_of(from[i]) << i * sizeof(T) % 4 * 8;
        }
    }
    *(uint4 *)to = make_uint4(word[0], word[1], word[2], word[3]);
}

// How NormAct makes a channel: leaky((v − mean)·rstd·gamma + beta), see norm_table.
struct Norm {
    float mean, rstd, gamma, beta;
};

template <int COUNT> DEVICE void load_norms(Norm (&p)[COUNT], const float *table) {
    UNROLL for (int i = 0; i < COUNT; i++) {
        const float4 f = ((const float4 *)table)[i];
        p[i] = {f.x, f.y, f.z, f.w};
    }
}

// 8 bytes of elements, in place.
template <class T, int COUNT> DEVICE void normalise(void *at, const Norm (&p)[COUNT], float slope) {
    static_assert(COUNT * sizeof(T) == 8, "half a vector has 8 bytes");
    const uint2 u = *(const uint2 *)at;
    const unsigned word[2] = {u.x, u.y};
    unsigned made[2] = {0, 0};
    UNROLL for (int i = 0; i < COUNT; i++) {
        const float v = element<T>(word[i * sizeof(T) / 4] >> i * sizeof(T) % 4 * 8);
        const float y = leaky((v - p[i].mean) * p[i].rstd * p[i].gamma + p[i].beta, slope);
        made[i * sizeof(T) / 4] |= word_of(stored<T>(y)) << i * sizeof(T) % 4 * 8;
    }
    *(uint2 *)at = make_uint2(made[0], made[1]);
}

// Two elements of a row, of which there are so many left; halves at an even place of
// an even row both at once.
template <class T> DEVICE void store_pair(bool even, T *to, float a, float b, unsigned left) {
    if (sizeof(T) == 2 && even) {
        *(unsigned *)to = word_of(stored<T>(a)) | word_of(stored<T>(b)) << 16;
        return;
    }
    to[0] = stored<T>(a);
    if (left > 1) {
        to[1] = stored<T>(b);
    }
}

// Row i of a lane's fragments, of 16 voxels by 8 channels, from channel first on: with the
// bias to y, or as it is to what blocks that share a tile leave.
template <class T, int MT, int NT>
DEVICE void store_row(bool shared, bool bias, T *y, float *split, const float *b, float (&sums)[MT][NT][4], int i, bool there, unsigned first, unsigned channels) {
    UNROLL for (int j = 0; j < NT; j++) {
        const unsigned co = first + j * 8 + (threadIdx.x & 3) * 2;
        float *pair = &sums[i / 2][j][i % 2 * 2];
        if (!shared && bias && co < channels) {
            pair[0] += b[co];
            pair[1] += co + 1 < channels ? b[co + 1] : 0.0f;
        }
        if (there && co < channels) {
            if (shared) {
                store_pair(false, split + co, pair[0], pair[1], channels - co);
            } else {
                store_pair(channels % 2 == 0, y + co, pair[0], pair[1], channels - co);
            }
        }
    }
}

// Moments of a tile of results for the norm behind it, to [channels 4]: mean, then squares
// of deviations, of what was stored. sums are fragments of 16 voxels by 8 channels: a
// column of the tile is in eight lanes of each warp. memory is [2][WARPS][NT·8] floats, which
// others may still read; there says which rows of the lane are voxels, of so many.
template <class T, int WARPS, int MT, int NT>
DEVICE void tile_moments(float *to, float *memory, const float (&sums)[MT][NT][4], const bool (&there)[2 * MT], unsigned voxels, unsigned channels) {
    const unsigned lane = threadIdx.x & 31, warp = threadIdx.x / 32;
    __syncthreads(); // the last step is done with memory
    UNROLL for (int pass = 0; pass < 2; pass++) {
        float *of_pass = memory + pass * WARPS * NT * 8;
        UNROLL for (int j = 0; j < NT; j++) {
            UNROLL for (int e = 0; e < 2; e++) {
                const unsigned column = j * 8 + (lane & 3) * 2 + e;
                float mean = 0.0f, sum = 0.0f;
                for (unsigned k = 0; pass == 1 && k < WARPS; k++) {
                    mean += memory[k * NT * 8 + column];
                }
                mean /= (float)voxels;
                UNROLL for (int i = 0; i < 2 * MT; i++) {
                    const float v = float_of(stored<T>(sums[i / 2][j][i % 2 * 2 + e])) - mean;
                    sum += there[i] ? (pass == 1 ? v * v : v) : 0.0f;
                }
                UNROLL for (int by = 4; by < 32; by *= 2) {
                    sum += __shfl_xor_sync(~0u, sum, by);
                }
                if (lane < 4) {
                    of_pass[warp * NT * 8 + column] = sum;
                }
            }
        }
        __syncthreads();
    }
    for (unsigned column = threadIdx.x; column < NT * 8 && column < channels; column += WARPS * 32) {
        float sum = 0.0f, squares = 0.0f;
        for (unsigned k = 0; k < WARPS; k++) {
            sum += memory[k * NT * 8 + column];
            squares += memory[(WARPS + k) * NT * 8 + column];
        }
        to[4 * column] = sum / (float)voxels;
        to[4 * column + 1] = squares;
        to[4 * column + 2] = 0.0f; // not of interest to a norm
        to[4 * column + 3] = 0.0f;
    }
}

// d [16 8] += a [16 8] · b [8 8] of floats: each is the sum of two of 11 bits, whose
// products are exact; the product of the smaller two, 2^-24 of the whole, is left out.
DEVICE void split(unsigned v, unsigned &high, unsigned &low) {
    high = eleven_bits(float_from(v));
    low = eleven_bits(float_from(v) - float_from(high));
}

DEVICE void multiply(f32, float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    unsigned high[4], low[4], high0, low0, high1, low1;
    UNROLL for (int i = 0; i < 4; i++) {
        split(a[i], high[i], low[i]);
    }
    split(b0, high0, low0);
    split(b1, high1, low1);
    multiply_eleven(d, low, high0, high1);
    multiply_eleven(d, high, low0, low1);
    multiply_eleven(d, high, high0, high1);
}
