// Conv3DGradWeight of stride 1 on Hopper's tensor cores, of halves
//
//   dw[k c co] = Σ dy[n o co] · x[n o + k − p c]   over the voxels n o
//
//   dense dy T [N D H W CB]   reached x T [N D H W CA]   parts [SPLITS KD KH KW CI CO]
//
// Channels c = C0 … C0+CA-1 of CI. NORM: x is made as it is read, by norms [N CA 4], see
// conv3d_grad_weight_mma, whose sums these are too.
//
// A GEMM a tap: M 64 channels of x, N 64 of dy, K voxels. A block makes the taps of one
// kd, a group of four warps the KW taps of one kh. It walks over tiles of TD·TH·TW voxels:
// dy of a tile, and x of all voxels that its taps meet, lie in shared memory in cells of
// eight channels, [8][voxels][8]. Eight cells of a row are a core matrix of wgmma, transposed;
// sixteen voxels of depth are two rows, and a tap is another first cell. While a tile is
// multiplied the next is copied. Blocks: x: tiles of channels; y: SPLITS, of which each takes
// the tiles u, u mod SPLITS its own; z: KD.
//
// Prelude: T; NORM (bool); SLOPE (float); D, H, W, CA, CB, CI, CO, C0, PD, PH, PW, SPLITS,
// TILES (of voxels), GD, GH, GW (of a sample) (unsigned); KD, KH, KW, TD, TH, TW (int).

constexpr int THREADS = KH * 128;
constexpr int HH = TH + KH - 1, HW = TW + KW - 1;
constexpr int CELLS = TD * HH * HW, VOXELS = TD * TH * TW;
constexpr int APART = CELLS + (9 - CELLS % 8) % 8, BESIDE = VOXELS + 1; // of eight channels: one beyond a multiple of 8, for banks
constexpr int STAGE = 8 * (APART + BESIDE) * 16;

KERNEL __launch_bounds__(THREADS, 1) conv3d_grad_weight_wgmma(float *parts, const T *dense, const T *reached, const float *norms) {
    SHARED(memory); // [2] of cells of x, then of dy
    const unsigned lane = threadIdx.x & 31, warp = threadIdx.x / 32, oct = threadIdx.x % 8, kh = warp / 4, kd = blockIdx.z;
    const unsigned across = (CB + 63) / 64;
    const unsigned a0 = blockIdx.x / across * 64, b0 = blockIdx.x % across * 64;
    const unsigned ca = a0 + oct * 8, cb = b0 + oct * 8; // of the cells that this thread copies

    // Voxel v of a cell of x of tile u, in sample n; false beyond the grid.
    auto voxel_of = [&](unsigned u, unsigned cell, unsigned &n, unsigned &v) {
        const unsigned d = u / (GW * GH) % GD * TD + cell / (HH * HW) + kd - PD; // below 0 is above
        const unsigned h = u / GW % GH * TH + cell / HW % HH - PH, w = u % GW * TW + cell % HW - PW;
        n = u / (GW * GH * GD);
        v = ((n * D + d) * H + h) * W + w;
        return d < D && h < H && w < W;
    };
    auto load = [&](unsigned u, unsigned char *to) {
        unsigned n, v;
        for (unsigned cell = threadIdx.x / 8; cell < CELLS; cell += THREADS / 8) {
            const bool there = voxel_of(u, cell, n, v) && ca < CA;
            copy16(to + (oct * APART + cell) * 16, there ? reached + (size_t)v * CA + ca : reached, there);
        }
        for (unsigned i = threadIdx.x / 8; i < VOXELS; i += THREADS / 8) {
            const unsigned d = u / (GW * GH) % GD * TD + i / (TH * TW), h = u / GW % GH * TH + i / TW % TH, w = u % GW * TW + i % TW;
            const bool there = d < D && h < H && w < W && cb < CB;
            v = ((u / (GW * GH * GD) * D + d) * H + h) * W + w;
            copy16(to + (8 * APART + oct * BESIDE + i) * 16, there ? dense + (size_t)v * CB + cb : dense, there);
        }
    };
    auto normalise_tile = [&](unsigned u, unsigned char *to) {
        unsigned n, v;
        for (int half = 0; half < 2 && ca < CA; half++) {
            Norm p[4];
            load_norms(p, norms + 4 * (size_t)(u / (GW * GH * GD) * CA + ca) + half * 16);
            for (unsigned cell = threadIdx.x / 8; cell < CELLS; cell += THREADS / 8) {
                if (voxel_of(u, cell, n, v)) {
                    normalise<T>(to + (oct * APART + cell) * 16 + half * 8, p, SLOPE);
                }
            }
        }
    };

    float sums[KW][8][4];
    UNROLL for (int k = 0; k < KW; k++) {
        UNROLL for (int j = 0; j < 8; j++) {
            UNROLL for (int e = 0; e < 4; e++) {
                sums[k][j][e] = 0.0f;
            }
        }
    }
    load(blockIdx.y, memory);
    copies_commit();
    unsigned stage = 0;
    for (unsigned u = blockIdx.y; u < TILES; u += SPLITS) {
        copies_wait<0>();
        if (NORM) {
            normalise_tile(u, memory + stage * STAGE);
        }
        matrices_fence();
        group_wait<0>(sums);
        __syncthreads();
        if (u + SPLITS < TILES) {
            load(u + SPLITS, memory + (stage ^ 1) * STAGE);
        }
        copies_commit();
        const unsigned x = shared_address(memory) + stage * STAGE, dy = x + 8 * APART * 16;
        group_fence();
        UNROLL for (int k = 0; k < VOXELS / 16; k++) { // eight voxels of two rows
            const unsigned w = k % (TW / 8) * 8, h = k / (TW / 8) % (TH / 2) * 2, d = k / (TW / 8 * (TH / 2));
            UNROLL for (int kw = 0; kw < KW; kw++) {
                multiply_transposed(T(), sums[kw], core_matrices(x + ((d * HH + h + kh) * HW + w + kw) * 16, HW * 16, APART * 16),
                                    core_matrices(dy + ((d * TH + h) * TW + w) * 16, TW * 16, BESIDE * 16));
            }
        }
        group_commit();
        stage ^= 1;
    }
    group_wait<0>(sums);

    float *out = parts + (size_t)((blockIdx.y * KD + kd) * KH + kh) * KW * CI * CO;
    UNROLL for (int k = 0; k < KW; k++) {
        UNROLL for (int j = 0; j < 8; j++) {
            UNROLL for (int e = 0; e < 4; e++) {
                const unsigned a = a0 + warp % 4 * 16 + lane / 4 + e / 2 * 8, b = b0 + j * 8 + lane % 4 * 2 + e % 2;
                if (a < CA && b < CB) {
                    out[((size_t)k * CI + C0 + a) * CO + b] = sums[k][j][e];
                }
            }
        }
    }
}
