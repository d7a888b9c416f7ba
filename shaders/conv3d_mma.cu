// Conv3D, UpConv3D and their gradients in the input, on tensor cores
//
//   x T [N D H W C1]   x2 T [N D H W C2]   w T   b [CO]   y T [N OD OH OW CO]
//   parts [N GD·GH·GW CO 4]: with MOMENTS, mean and Σ(y − mean)² of a tile, as moments makes them
//
//   y[n o co] = b[co] + Σ x[n o·s + k − p c] · w[k c co]            a convolution
//   y[n o co] = b[co] + Σ x[n i c] · w[k …]   over i·s + k − p = o   SCATTER: its adjoint
//
// W_BY_INPUT: w [KD KH KW WROWS WCOLS], its rows are channels c; else rows are co,
// from W0 on, and c is in a row: floats want that, see turn.
//
//   Conv3D            a convolution, W_BY_INPUT     UpConv3D            SCATTER, W_BY_INPUT, p = 0
//   Conv3DGradInput   SCATTER of dy                 UpConv3DGradInput   a convolution of dy, p = 0
//
// An implicit GEMM: M voxels of y, N channels co, K taps by channels c. With SCATTER
// and a stride the voxels of y fall into S·S·S classes, o mod s, each of which has
// taps of its own and is dense in i.
//
// A block makes a tile of TD·TH·TW voxels (of a class) by BN channels, a warp 16·MT
// voxels of it. BK channels of all voxels of x that the tile meets, the halo, lie in
// shared memory at a time (ABUFS of them), so that x is read once a tile rather than
// once a tap; weights of a tap follow in STAGES. Blocks: x: samples by tiles GD GH
// GW; y: CO / BN; z: classes by SPLITS.
//
// A few tiles of many channels leave most of a GPU idle: each of SPLITS blocks takes some
// of the chunks of channels then, and leaves sums, parts [SPLITS N OD OH OW CO], which
// conv3d_fold adds in order.
//
// NORM, NORM2: x or x2 is not stored: it is NormAct of what is given in its place, by
// norms [N C 4], see norm_table. Each thread makes what it has copied of the halo, before
// others see it; there are zeros beyond the grid.
//
// Prelude: T; HAS_B, MOMENTS, NORM, NORM2, SCATTER, W_BY_INPUT, X_WHOLE, W_WHOLE (rows are
// multiples of 16 bytes) (bool); SLOPE, SLOPE2 (float); D, H, W, C1, C2, CO, OD, OH, OW, KD,
// KH, KW, SD, SH, SW, PD, PH, PW, WROWS, WCOLS, W0, SPLITS, GD, GH, GW, HD, HH, HW (the halo)
// (unsigned); TD, TH, TW, MT, BN, BK, STAGES, ABUFS, BLOCKS (of a multiprocessor) (int).

constexpr int THREADS = TD * TH * TW / MT * 2;
constexpr int NT = BN / 8;
constexpr int PER = 16 / (int)sizeof(T);      // elements of a chunk
constexpr int X_BYTES = BK * (int)sizeof(T);  // of a row of the halo, and of weights by output
constexpr int W_BYTES = BN * (int)sizeof(T);  // of a row of weights by input
constexpr int STAGE = BK * BN * (int)sizeof(T);

// One axis of a class: the voxels of y, the taps that they meet, the first of these,
// and where the voxel of x that the lowest of a tile meets lies.
struct Axis {
    unsigned voxels, taps, first;
    int origin;
};

DEVICE Axis axis(unsigned tile, unsigned o, unsigned k, unsigned s, unsigned p, unsigned rest) {
    if (!SCATTER) {
        return {o, k, 0, (int)(tile * s) - (int)p};
    }
    const unsigned first = (rest + p) % s;
    const unsigned taps = first < k ? (k - first + s - 1) / s : 0;
    const int last = (int)(rest + p - first) / (int)s; // of the first tap; those behind lie before
    return {o > rest ? (o - rest + s - 1) / s : 0, taps, first, (int)tile + last - (int)taps + 1};
}

// A step: a tap of a chunk of BK channels.
struct Step {
    unsigned chunk, d, h, w;
};

DEVICE void advance(Step &s, const Axis &d, const Axis &h, const Axis &w) {
    if (++s.w < w.taps) {
        return;
    }
    s.w = 0;
    if (++s.h < h.taps) {
        return;
    }
    s.h = 0;
    if (++s.d == d.taps) {
        s.d = 0;
        s.chunk++;
    }
}

KERNEL __launch_bounds__(THREADS, BLOCKS) conv3d_mma(T *y, float *parts, const T *x, const T *w, const float *b, const T *x2, const float *norms,
                                                            const float *norms2) {
    SHARED(memory);
    const unsigned lane = threadIdx.x & 31, warp = threadIdx.x / 32;
    const unsigned rows = HD * HH * HW, bytes = rows * X_BYTES;
    unsigned char *weights = memory + ABUFS * bytes;
    unsigned at = blockIdx.x;
    const unsigned qw = at % GW * TW, qh = at / GW % GH * TH, qd = at / GW / GH % GD * TD, n = at / GW / GH / GD;
    const unsigned n0 = blockIdx.y * BN;
    const unsigned split = blockIdx.z % SPLITS, rest = blockIdx.z / SPLITS;
    const unsigned rw = rest % SW, rh = rest / SW % SH, rd = rest / SW / SH;
    const Axis ad = axis(qd, OD, KD, SD, PD, rd), ah = axis(qh, OH, KH, SH, PH, rh), aw = axis(qw, OW, KW, SW, PW, rw);
    const unsigned chunks1 = (C1 + BK - 1) / BK, chunks = chunks1 + (C2 + BK - 1) / BK;
    const unsigned first = split * chunks / SPLITS; // chunk
    const unsigned steps = ((split + 1) * chunks / SPLITS - first) * ad.taps * ah.taps * aw.taps;

    // The voxel of a row of the halo; false beyond the grid.
    auto voxel_of = [&](unsigned row, unsigned &at) {
        const unsigned d = (unsigned)(ad.origin + (int)(row / (HH * HW))); // below 0 is above D
        const unsigned h = (unsigned)(ah.origin + (int)(row / HW % HH));
        const unsigned v = (unsigned)(aw.origin + (int)(row % HW));
        at = ((n * D + d) * H + h) * W + v;
        return d < D && h < H && v < W;
    };
    // The halo of a chunk.
    auto load_halo = [&](unsigned chunk) {
        const bool second = chunk >= chunks1;
        const unsigned channels = second ? C2 : C1, c0 = (second ? chunk - chunks1 : chunk) * BK;
        const T *from = second ? x2 : x;
        unsigned char *to = memory + chunk % ABUFS * bytes;
        for (unsigned i = threadIdx.x; i < rows * (BK / PER); i += THREADS) {
            const unsigned row = i / (BK / PER), c = i % (BK / PER) * PER;
            unsigned v;
            const bool there = voxel_of(row, v) && c0 + c < channels;
            const T *source = there ? from + (size_t)v * channels + c0 + c : from;
            load_chunk(X_WHOLE, to + swizzled<X_BYTES>(row, c / PER), source, there ? channels - c0 - c : 0);
        }
    };
    // Its norm: half a vector at a time, whose parameters are in registers.
    auto normalise_halo = [&](unsigned chunk) {
        const bool second = chunk >= chunks1;
        const unsigned channels = second ? C2 : C1, c0 = (second ? chunk - chunks1 : chunk) * BK;
        const unsigned c = threadIdx.x % (BK / PER) * PER;
        if (!(second ? NORM2 : NORM) || c0 + c >= channels) {
            return;
        }
        const float *table = (second ? norms2 : norms) + 4 * (size_t)(n * channels + c0 + c);
        unsigned char *to = memory + chunk % ABUFS * bytes;
        for (int half = 0; half < 2; half++) {
            Norm p[PER / 2];
            load_norms(p, table + half * 2 * PER);
            for (unsigned i = threadIdx.x; i < rows * (BK / PER); i += THREADS) {
                const unsigned row = i / (BK / PER);
                unsigned v;
                if (voxel_of(row, v)) {
                    normalise<T>(to + swizzled<X_BYTES>(row, c / PER) + half * 8, p, second ? SLOPE2 : SLOPE);
                }
            }
        }
    };
    // The weights of a step. A thread has some vectors of them: where they go, where
    // they lie from the first of a tap and chunk on, their channel of x, and how many
    // channels of y there are from theirs on.
    constexpr int CHUNKS = BK * BN / PER, SHARE = (CHUNKS + THREADS - 1) / THREADS;
    unsigned w_to[SHARE], w_from[SHARE], w_c[SHARE], w_left[SHARE];
    UNROLL for (int q = 0; q < SHARE; q++) {
        const unsigned i = threadIdx.x + q * THREADS;
        const unsigned across = W_BY_INPUT ? BN / PER : BK / PER, row = i / across, c = i % across * PER;
        w_to[q] = W_BY_INPUT ? swizzled<W_BYTES>(row, c / PER) : swizzled<X_BYTES>(row, c / PER);
        w_from[q] = row * WCOLS + c;
        w_c[q] = W_BY_INPUT ? row : c;
        const unsigned co = n0 + (W_BY_INPUT ? c : row);
        w_left[q] = co < CO ? CO - co : 0;
        hold(w_to[q]);
        hold(w_from[q]);
        hold(w_c[q]);
        hold(w_left[q]);
    }
    auto load_weights = [&](const Step &s, unsigned stage) {
        const bool second = s.chunk >= chunks1;
        const unsigned channels = second ? C2 : C1, c0 = (second ? s.chunk - chunks1 : s.chunk) * BK;
        const unsigned by = SCATTER ? SW : 1, byh = SCATTER ? SH : 1, byd = SCATTER ? SD : 1;
        const unsigned tap = ((ad.first + s.d * byd) * KH + ah.first + s.h * byh) * KW + aw.first + s.w * by;
        const unsigned row = tap * WROWS + (W_BY_INPUT ? (second ? C1 : 0) + c0 : W0 + n0);
        const T *from = w + (size_t)row * WCOLS + (W_BY_INPUT ? n0 : (second ? C1 : 0) + c0);
        unsigned char *to = weights + stage * STAGE;
        UNROLL for (int q = 0; q < SHARE; q++) {
            if (CHUNKS % THREADS != 0 && threadIdx.x + q * THREADS >= CHUNKS) {
                break;
            }
            unsigned left = c0 + w_c[q] < channels ? w_left[q] : 0;
            if (!W_BY_INPUT && left > 0) { // they are of one channel of y
                left = channels - c0 - w_c[q];
            }
            load_chunk(W_WHOLE, to + w_to[q], left > 0 ? from + w_from[q] : w, left);
        }
    };

    // Where the voxels of this lane's rows begin in the halo.
    const unsigned apart = SCATTER ? 1 : SW, aparth = SCATTER ? 1 : SH, apartd = SCATTER ? 1 : SD;
    unsigned begin[MT];
    UNROLL for (int i = 0; i < MT; i++) {
        const unsigned m = warp * (16 * MT) + i * 16 + (lane & 15);
        begin[i] = ((m / (TH * TW) * apartd * HH) + m / TW % TH * aparth) * HW + m % TW * apart;
        hold(begin[i]);
    }
    // And those of its rows of weights. Sixteen rows further, chunks lie as they do here.
    unsigned by_input = swizzled<W_BYTES>(lane & 15, lane / 16);
    unsigned by_output = swizzled<X_BYTES>((lane & 7) + lane / 16 * 8, lane / 8 & 1);
    hold(by_input);
    hold(by_output);
    float sums[MT][NT][4];
    UNROLL for (int i = 0; i < MT; i++) {
        UNROLL for (int j = 0; j < NT; j++) {
            UNROLL for (int e = 0; e < 4; e++) {
                sums[i][j][e] = 0.0f;
            }
        }
    }

    // Group s of copies is what step s needs beyond those before it.
    Step ahead = {first, 0, 0, 0}, now = ahead;
    unsigned loaded = 0;
    auto load = [&]() {
        if (loaded < steps) {
            if (ahead.d + ahead.h + ahead.w == 0) {
                load_halo(ahead.chunk);
            }
            load_weights(ahead, loaded % STAGES);
            advance(ahead, ad, ah, aw);
        }
        loaded++;
        copies_commit();
    };
    for (int s = 0; s < STAGES - 1; s++) {
        load();
    }
    for (unsigned s = 0; s < steps; s++) {
        copies_wait<STAGES - 2>();
        if ((NORM || NORM2) && now.d + now.h + now.w == 0) {
            normalise_halo(now.chunk);
        }
        __syncthreads();
        load();
        const unsigned char *halo = memory + now.chunk % ABUFS * bytes, *stage = weights + s % STAGES * STAGE;
        const unsigned td = SCATTER ? ad.taps - 1 - now.d : now.d, th = SCATTER ? ah.taps - 1 - now.h : now.h;
        const unsigned shift = (td * HH + th) * HW + (SCATTER ? aw.taps - 1 - now.w : now.w);
        unsigned voxel[MT];
        UNROLL for (int i = 0; i < MT; i++) {
            voxel[i] = swizzled<X_BYTES>(begin[i] + shift, lane / 16);
        }
        UNROLL for (int k = 0; k < X_BYTES / 32; k++) { // two chunks
            unsigned a[MT][4];
            UNROLL for (int i = 0; i < MT; i++) {
                load_matrices(a[i], halo + (voxel[i] ^ k * 32));
            }
            UNROLL for (int j = 0; j < NT / 2; j++) {
                unsigned f[4];
                if (sizeof(T) == 2 && W_BY_INPUT) {
                    load_transposed(f, stage + k * (16 * W_BYTES) + (by_input ^ j * 32));
                } else {
                    load_matrices(f, stage + j * (16 * X_BYTES) + (by_output ^ k * 32));
                }
                UNROLL for (int i = 0; i < MT; i++) {
                    multiply(T(), sums[i][2 * j], a[i], f[0], f[1]);
                    multiply(T(), sums[i][2 * j + 1], a[i], f[2], f[3]);
                }
            }
        }
        advance(now, ad, ah, aw);
    }
    copies_wait<0>();

    // Bias, rounding, and which of the lane's rows are voxels of y.
    float *of_split = parts + (size_t)split * (gridDim.x / (GD * GH * GW)) * OD * OH * OW * CO;
    bool there[2 * MT];
    UNROLL for (int i = 0; i < 2 * MT; i++) {
        const unsigned m = warp * (16 * MT) + i * 8 + lane / 4;
        const unsigned vd = qd + m / (TH * TW), vh = qh + m / TW % TH, vw = qw + m % TW;
        there[i] = vd < ad.voxels && vh < ah.voxels && vw < aw.voxels;
        const unsigned od = SCATTER ? vd * SD + rd : vd, oh = SCATTER ? vh * SH + rh : vh, ow = SCATTER ? vw * SW + rw : vw;
        const size_t at_row = (size_t)(((n * OD + od) * OH + oh) * OW + ow) * CO;
        store_row(SPLITS > 1, HAS_B, y + at_row, of_split + at_row, b, sums, i, there[i], n0, CO);
    }
    if (MOMENTS) {
        const unsigned voxels = min((unsigned)TD, ad.voxels - qd) * min((unsigned)TH, ah.voxels - qh) * min((unsigned)TW, aw.voxels - qw);
        tile_moments<T, THREADS / 32>(parts + 4 * ((size_t)blockIdx.x * CO + n0), (float *)memory, sums, there, voxels, min((unsigned)BN, CO - n0));
    }
}
