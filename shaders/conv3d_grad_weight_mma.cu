// Conv3DGradWeight and UpConv3DGradWeight on tensor cores
//
//   dw[k c co] = Σ dense[n o …] · reached[n o·s + k − p …]   over the voxels n o of dense
//
//   Conv3D: dense is dy, channels co, reached is x, channels c = C0 … C0+C-1 of CI
//   UpConv3D (TURNED): dense is x, channels c, reached is dy, channels co; p = 0
//
//   dense T [N OD OH OW CB]   reached T [N D H W CA]   parts [SPLITS KD KH KW CI CO]
//
// A GEMM a tap: M channels of reached, N of dense, K voxels. Both lie voxel by
// channel in memory: both are transposed on their way to registers.
//
// A block makes 32 by 32 channels of all taps, a warp 16·MT by 32 of the KW taps of one
// (kd, kh). It walks down columns: SEGMENT voxels of a row of dense at a time, row after row; rows
// of reached stay in a ring of RING rows for each kd while the steps that meet them
// pass, and AHEAD steps are on their way. Blocks: x: tiles of channels; y: SPLITS, of
// which each takes the columns u, u mod SPLITS its own; fold adds the parts.
//
// NORM: reached, or TURNED dense, is not stored: it is NormAct of what is given in its
// place, by norms [N C 4], see norm_table. Each thread makes what it has copied, before
// others see it; there are zeros beyond the grid.
//
// Prelude: T; NORM, TURNED, A_WHOLE, B_WHOLE (rows are multiples of 16 bytes) (bool); SLOPE
// (float); N, D, H, W, CA, OD, OH, OW, CB, SD, SH, SW, PD, PH, PW, CI, CO, C0, SPLITS
// (unsigned); KD, KH, KW, MT, SEGMENT, AHEAD, RING, WIDE (voxels of a row of the ring),
// BLOCKS (of a multiprocessor) (int).

constexpr int THREADS = KD * KH * 64 / MT;
constexpr int PER = 16 / (int)sizeof(T);    // elements of a chunk
constexpr int BYTES = 32 * (int)sizeof(T);  // of the channels of a voxel
constexpr int STEP = 32 / (int)sizeof(T);   // voxels of a product

// Element (r, c) of rows of 32 channels.
DEVICE unsigned element_of(const unsigned char *rows, unsigned r, unsigned c) {
    return *(const unsigned *)(rows + swizzled<BYTES>(r, c / 4) + c % 4 * 4);
}

// A fragment of 16 channels from c on by STEP voxels, in rows first, first + apart …
DEVICE void load_channels(unsigned (&r)[4], const unsigned char *rows, unsigned first, unsigned apart, unsigned c, unsigned lane) {
    if (sizeof(T) == 2) {
        load_transposed(r, rows + swizzled<BYTES>(first + ((lane & 7) + lane / 16 * 8) * apart, c / PER + (lane / 8 & 1)));
        return;
    }
    UNROLL for (int i = 0; i < 4; i++) {
        r[i] = element_of(rows, first + (lane % 4 + i / 2 * 4) * apart, c + lane / 4 + i % 2 * 8);
    }
}

// Fragments of STEP voxels from first on by two times 8 channels from c on.
DEVICE void load_voxels(unsigned (&r)[4], const unsigned char *rows, unsigned first, unsigned c, unsigned lane) {
    if (sizeof(T) == 2) {
        load_transposed(r, rows + swizzled<BYTES>(first + (lane & 15), c / PER + lane / 16));
        return;
    }
    UNROLL for (int i = 0; i < 4; i++) {
        r[i] = element_of(rows, first + lane % 4 + i % 2 * 4, c + lane / 4 + i / 2 * 8);
    }
}

KERNEL __launch_bounds__(THREADS, BLOCKS) conv3d_grad_weight_mma(float *parts, const T *dense, const T *reached, const float *norms) {
    SHARED(memory); // [RING][KD][WIDE] voxels of reached, then [AHEAD + 1][SEGMENT] of dense, 32 channels each
    unsigned char *segments = memory + RING * KD * WIDE * BYTES;
    const unsigned lane = threadIdx.x & 31, warp = threadIdx.x / 32;
    const unsigned own = warp % (2 / MT) * MT, pair = warp / (2 / MT); // its first 16 channels; (kd, kh)
    const unsigned kd = pair / KH, kh = pair % KH;
    const unsigned across = (CB + 31) / 32;
    const unsigned a0 = blockIdx.x / across * 32, b0 = blockIdx.x % across * 32;
    const unsigned pieces = (OW + SEGMENT - 1) / SEGMENT, columns = N * OD * pieces;

    float sums[KW][MT][4][4];
    UNROLL for (int k = 0; k < KW; k++) {
        UNROLL for (int i = 0; i < MT; i++) {
            UNROLL for (int j = 0; j < 4; j++) {
                UNROLL for (int e = 0; e < 4; e++) {
                    sums[k][i][j][e] = 0.0f;
                }
            }
        }
    }
    for (unsigned u = blockIdx.y; u < columns; u += SPLITS) {
        const unsigned w0 = u % pieces * SEGMENT, od = u / pieces % OD, n = u / pieces / OD;
        const int first_d = (int)(od * SD) - (int)PD, first_w = (int)(w0 * SW) - (int)PW;
        // Row r of the column's rows of reached: row r − PH of its planes, or zeros.
        auto load_row = [&](unsigned r) {
            const unsigned h = r - PH; // below 0 is above H
            unsigned char *to = memory + r % RING * (KD * WIDE * BYTES);
            for (unsigned i = threadIdx.x; i < KD * WIDE * (32 / PER); i += THREADS) {
                const unsigned v = i / (32 / PER), c = i % (32 / PER) * PER;
                const unsigned d = (unsigned)(first_d + (int)(v / WIDE)), w = (unsigned)(first_w + (int)(v % WIDE));
                const bool there = d < D && h < H && w < W && a0 + c < CA;
                const T *from = there ? reached + (size_t)(((n * D + d) * H + h) * W + w) * CA + a0 + c : reached;
                load_chunk(A_WHOLE, to + swizzled<BYTES>(v, c / PER), from, there ? CA - a0 - c : 0);
            }
        };
        // Whether a voxel of row r of the column is one of the grid.
        auto there = [&](unsigned r, unsigned v) {
            return (unsigned)(first_d + (int)(v / WIDE)) < D && r - PH < H && (unsigned)(first_w + (int)(v % WIDE)) < W;
        };
        // The norm of what this thread has loaded for step oh.
        auto normalise_step = [&](unsigned oh) {
            const unsigned c = threadIdx.x % (32 / PER) * PER, channels = TURNED ? CB : CA, c0 = (TURNED ? b0 : a0) + c;
            if (c0 >= channels) {
                return;
            }
            for (int half = 0; half < 2; half++) {
                Norm p[PER / 2];
                load_norms(p, norms + 4 * (size_t)(n * channels + c0) + half * 2 * PER);
                for (unsigned r = oh > 0 ? (oh - 1) * SH + KH : 0; !TURNED && r < oh * SH + KH; r++) {
                    unsigned char *to = memory + r % RING * (KD * WIDE * BYTES);
                    for (unsigned i = threadIdx.x; i < KD * WIDE * (32 / PER); i += THREADS) {
                        const unsigned v = i / (32 / PER);
                        if (there(r, v)) {
                            normalise<T>(to + swizzled<BYTES>(v, c / PER) + half * 8, p, SLOPE);
                        }
                    }
                }
                unsigned char *to = segments + oh % (AHEAD + 1) * (SEGMENT * BYTES);
                for (unsigned i = threadIdx.x; TURNED && i < SEGMENT * (32 / PER); i += THREADS) {
                    const unsigned v = i / (32 / PER);
                    if (w0 + v < OW) { // zeros stay: what a norm makes of them may not be finite
                        normalise<T>(to + swizzled<BYTES>(v, c / PER) + half * 8, p, SLOPE);
                    }
                }
            }
        };
        unsigned rows = 0; // loaded
        auto load = [&](unsigned oh) {
            if (oh < OH) {
                for (; rows < oh * SH + KH; rows++) {
                    load_row(rows);
                }
                unsigned char *to = segments + oh % (AHEAD + 1) * (SEGMENT * BYTES);
                for (unsigned i = threadIdx.x; i < SEGMENT * (32 / PER); i += THREADS) {
                    const unsigned v = i / (32 / PER), c = i % (32 / PER) * PER;
                    const bool there = w0 + v < OW && b0 + c < CB;
                    const T *from = there ? dense + (size_t)(((n * OD + od) * OH + oh) * OW + w0 + v) * CB + b0 + c : dense;
                    load_chunk(B_WHOLE, to + swizzled<BYTES>(v, c / PER), from, there ? CB - b0 - c : 0);
                }
            }
            copies_commit();
        };
        __syncthreads(); // the last column is done with
        for (unsigned oh = 0; oh < AHEAD; oh++) {
            load(oh);
        }
        for (unsigned oh = 0; oh < OH; oh++) {
            copies_wait<AHEAD - 1>();
            if (NORM) {
                normalise_step(oh);
            }
            __syncthreads();
            load(oh + AHEAD);
            const unsigned char *ring = memory + (oh * SH + kh) % RING * (KD * WIDE * BYTES);
            const unsigned char *segment = segments + oh % (AHEAD + 1) * (SEGMENT * BYTES);
            for (unsigned v = 0; v < SEGMENT; v += STEP) {
                unsigned b[2][4];
                UNROLL for (int j = 0; j < 2; j++) {
                    load_voxels(b[j], segment, v, j * 16, lane);
                }
                UNROLL for (int k = 0; k < KW; k++) {
                    UNROLL for (int i = 0; i < MT; i++) {
                        unsigned a[4];
                        load_channels(a, ring, kd * WIDE + v * SW + k, SW, (own + i) * 16, lane);
                        UNROLL for (int j = 0; j < 4; j++) {
                            multiply(T(), sums[k][i][j], a, b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
                        }
                    }
                }
            }
        }
        copies_wait<0>();
    }
    float *out = parts + (size_t)(blockIdx.y * KD * KH * KW + pair * KW) * CI * CO;
    UNROLL for (int k = 0; k < KW; k++) {
        UNROLL for (int i = 0; i < MT; i++) {
            UNROLL for (int j = 0; j < 4; j++) {
                UNROLL for (int e = 0; e < 4; e++) {
                    const unsigned a = a0 + (own + i) * 16 + lane / 4 + e / 2 * 8, b = b0 + j * 8 + lane % 4 * 2 + e % 2;
                    if (a < CA && b < CB) {
                        const unsigned c = C0 + (TURNED ? b : a), co = TURNED ? a : b;
                        out[((size_t)k * CI + c) * CO + co] = sums[k][i][j][e];
                    }
                }
            }
        }
    }
}
