// Conv3D of stride 1 and its gradient in the input on Hopper's tensor cores, of halves
//
//   x T [N D H W C1]   x2 T [N D H W C2]   b [CO]   y T [N D H W CO]
//   cells: weights, see weight_cells   parts: as conv3d_mma leaves them, with MOMENTS
//
//   y[n o co] = b[co] + Σ x[n o + k − p c] · w[k c co]
//
// The gradient in the input is such a convolution of dy: weight_cells has its weights.
// NORM, NORM2: x or x2 is made as it is read, see conv3d_mma.
//
// An implicit GEMM as conv3d_mma is, but both operands are in shared memory: M voxels of
// y, N channels co, K taps by channels c. A block makes a tile of TD·TH·TW voxels by BN
// channels, a group of four warps MT slices of 8·8 voxels of a plane of it. BK channels
// of the halo lie in shared memory in cells of eight channels, [BK/8][HD][HH][HW][8]: eight
// cells of a row are a core matrix of wgmma, and a tap is another first cell. A step is
// the KW taps of a (kd, kh), whose weights, [KW][BK/8][BN][8], follow in STAGES.
//
// A step's products are under way while the next one's copies are waited for: what they
// read is free again two barriers later. Blocks: x: samples by tiles GD GH GW; y: CO / BN;
// z: SPLITS, see conv3d_mma.
//
// Prelude: T; HAS_B, MOMENTS, NORM, NORM2 (bool); SLOPE, SLOPE2 (float); D, H, W, C1, C2,
// CO, SPLITS, PD, PH, PW, GD, GH, GW (unsigned); KD, KH, KW, TD, TH, TW, MT, BN, BK, STAGES, ABUFS,
// BLOCKS (of a multiprocessor) (int).

constexpr int THREADS = TD * TH * TW / MT * 2;
constexpr int NT = BN / 8, OCTS = BK / 8;
constexpr int HD = TD + KD - 1, HH = TH + KH - 1, HW = TW + KW - 1;
constexpr int CELLS = HD * HH * HW;
constexpr int APART = CELLS + (10 - CELLS % 8) % 8; // of cells of eight channels: two beyond a multiple of 8, for banks
constexpr int HALO = OCTS * APART * 16;
constexpr int STAGE = KW * BK * BN * 2;
constexpr int STEPS = KD * KH; // of a chunk of channels

KERNEL __launch_bounds__(THREADS, BLOCKS) conv3d_wgmma(T *y, float *parts, const T *x, const T *cells, const float *b, const T *x2, const float *norms,
                                                              const float *norms2) {
    static_assert(STEPS >= STAGES - 1, "a halo is free when the next but one is loaded");
    SHARED(memory); // [ABUFS] halos, then [STAGES] of weights
    unsigned char *weights = memory + ABUFS * HALO;
    const unsigned lane = threadIdx.x & 31, warp = threadIdx.x / 32;
    unsigned at = blockIdx.x;
    const unsigned qw = at % GW * TW, qh = at / GW % GH * TH, qd = at / GW / GH % GD * TD, n = at / GW / GH / GD;
    const unsigned n0 = blockIdx.y * BN;
    const unsigned chunks1 = (C1 + BK - 1) / BK, chunks = chunks1 + (C2 + BK - 1) / BK;
    const unsigned first = blockIdx.z * chunks / SPLITS; // chunk
    const unsigned steps = ((blockIdx.z + 1) * chunks / SPLITS - first) * STEPS;

    // The voxel of a cell; false beyond the grid.
    auto voxel_of = [&](unsigned cell, unsigned &v) {
        const unsigned d = qd + cell / (HH * HW) - PD, h = qh + cell / HW % HH - PH, w = qw + cell % HW - PW; // below 0 is above
        v = ((n * D + d) * H + h) * W + w;
        return d < D && h < H && w < W;
    };
    const unsigned oct = threadIdx.x % OCTS; // of all that this thread copies of a halo
    // Chunks are counted from the first of this block on.
    auto load_halo = [&](unsigned chunk) {
        const bool second = first + chunk >= chunks1;
        const unsigned channels = second ? C2 : C1, c = (first + chunk - (second ? chunks1 : 0)) * BK + oct * 8;
        const T *from = second ? x2 : x;
        unsigned char *to = memory + chunk % ABUFS * HALO + oct * (APART * 16);
        for (unsigned cell = threadIdx.x / OCTS; cell < CELLS; cell += THREADS / OCTS) {
            unsigned v;
            const bool there = voxel_of(cell, v) && c < channels;
            copy16(to + cell * 16, there ? from + (size_t)v * channels + c : from, there);
        }
    };
    auto normalise_halo = [&](unsigned chunk) {
        const bool second = first + chunk >= chunks1;
        const unsigned channels = second ? C2 : C1, c = (first + chunk - (second ? chunks1 : 0)) * BK + oct * 8;
        if (!(second ? NORM2 : NORM) || c >= channels) {
            return;
        }
        unsigned char *to = memory + chunk % ABUFS * HALO + oct * (APART * 16);
        for (int half = 0; half < 2; half++) {
            Norm p[4];
            load_norms(p, (second ? norms2 : norms) + 4 * (size_t)(n * channels + c) + half * 16);
            for (unsigned cell = threadIdx.x / OCTS; cell < CELLS; cell += THREADS / OCTS) {
                unsigned v;
                if (voxel_of(cell, v)) {
                    normalise<T>(to + cell * 16 + half * 8, p, second ? SLOPE2 : SLOPE);
                }
            }
        }
    };

    float sums[MT][NT][4];
    unsigned begin[MT], od[MT], oh[MT], ow[MT]; // of a slice: its first cell, and voxel
    UNROLL for (int i = 0; i < MT; i++) {
        const unsigned slice = warp / 4 * MT + i;
        od[i] = slice / (TH / 8 * (TW / 8));
        oh[i] = slice / (TW / 8) % (TH / 8) * 8;
        ow[i] = slice % (TW / 8) * 8;
        begin[i] = (od[i] * HH + oh[i]) * HW + ow[i];
        UNROLL for (int j = 0; j < NT; j++) {
            UNROLL for (int e = 0; e < 4; e++) {
                sums[i][j][e] = 0.0f;
            }
        }
    }

    // Group s of copies is what step s needs beyond those before it.
    const T *own = cells + (size_t)(blockIdx.y * chunks + first) * STEPS * (STAGE / 2);
    unsigned loaded = 0;
    auto load = [&]() {
        if (loaded < steps) {
            if (loaded % STEPS == 0) {
                load_halo(loaded / STEPS);
            }
            unsigned char *to = weights + loaded % STAGES * STAGE;
            const T *from = own + (size_t)loaded * (STAGE / 2);
            for (unsigned i = threadIdx.x; i < STAGE / 16; i += THREADS) {
                copy16(to + i * 16, from + i * 8, true);
            }
        }
        loaded++;
        copies_commit();
    };
    for (int s = 0; s < STAGES - 2; s++) {
        load();
    }
    unsigned s = 0; // a block has a step at least; where a loop may have none, NVRTC waits for each product
    do {
        copies_wait<STAGES - 3>();
        if ((NORM || NORM2) && s % STEPS == 0) {
            normalise_halo(s / STEPS);
        }
        matrices_fence();
        __syncthreads();
        load();
        const unsigned tap = s % STEPS;
        const unsigned halo = shared_address(memory) + s / STEPS % ABUFS * HALO + (tap / KH * HH + tap % KH) * HW * 16;
        const unsigned stage = shared_address(weights) + s % STAGES * STAGE;
        group_fence();
        UNROLL for (int k = 0; k < KW * BK / 16; k++) { // sixteen channels of a tap
            const unsigned kw = k / (BK / 16), two = k % (BK / 16) * 2;
            UNROLL for (int i = 0; i < MT; i++) {
                multiply_group(T(), sums[i], core_matrices(halo + (two * APART + begin[i] + kw) * 16, APART * 16, HW * 16),
                               core_matrices(stage + (kw * OCTS + two) * (BN * 16), BN * 16, 128));
            }
        }
        group_commit();
        group_wait<1>(sums);
    } while (++s < steps);
    group_wait<0>(sums);
    copies_wait<0>();

    // Rows of a slice are its voxels, eight of a line; a warp has sixteen.
    float *of_split = parts + (size_t)blockIdx.z * (gridDim.x / (GD * GH * GW)) * D * H * W * CO;
    bool there[2 * MT];
    UNROLL for (int i = 0; i < 2 * MT; i++) {
        const unsigned vd = qd + od[i / 2], vh = qh + oh[i / 2] + warp % 4 * 2 + i % 2, vw = qw + ow[i / 2] + lane / 4;
        there[i] = vd < D && vh < H && vw < W;
        const size_t at_row = (size_t)(((n * D + vd) * H + vh) * W + vw) * CO;
        store_row(SPLITS > 1, HAS_B, y + at_row, of_split + at_row, b, sums, i, there[i], n0, CO);
    }
    if (MOMENTS) {
        const unsigned voxels = min((unsigned)TD, D - qd) * min((unsigned)TH, H - qh) * min((unsigned)TW, W - qw);
        tile_moments<T, THREADS / 32>(parts + 4 * ((size_t)blockIdx.x * CO + n0), (float *)memory, sums, there, voxels, min((unsigned)BN, CO - n0));
    }
}
