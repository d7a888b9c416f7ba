// MomentsFold: the moments of a channel from those of its blocks (Chan et al. 1979)
//
//   parts [N BLOCKS C 4]   out [N C 4]: mean, variance, minimum, maximum
//   STATS: out [N C 2]: mean, 1/√(variance + EPS), as NormAct hands them out
//
// The blocks of voxels are tiles of TD·TH·TW of a grid D H W, in rows of GW and GH;
// those at its end are smaller. A block of threads makes the moments of one channel:
// each of its LANES threads adds the tiles b, b mod LANES its own, and the first adds
// what the others have. Blocks: N·C.
//
// Prelude: STATS (bool); D, H, W, TD, TH, TW, GH, GW, C, BLOCKS (unsigned); LANES
// (int); EPS (float).

// The voxels of tile b.
DEVICE float size_of(unsigned b) {
    const unsigned w = b % GW * TW, h = b / GW % GH * TH, d = b / (GW * GH) * TD;
    return (float)(min(TD, D - d) * min(TH, H - h) * min(TW, W - w));
}

KERNEL moments_fold(float *out, const float *parts) {
    // Σ size·(mean − origin), minimum and maximum of a thread, then of all; Σ of
    // squares of a thread.
    __shared__ float sums[LANES], lows[LANES], highs[LANES], squares[LANES], whole;
    const unsigned i = blockIdx.x, own = threadIdx.x;
    const float *from = parts + 4 * (size_t)(i / C * BLOCKS * C + i % C);
    const float origin = from[0]; // of the differences whose mean is made: they are small
    float sum = 0.0f, low = from[2], high = from[3];
    for (unsigned b = own; b < BLOCKS; b += LANES) {
        const float *p = from + 4 * (size_t)b * C;
        sum += size_of(b) * (p[0] - origin);
        low = fminf(low, p[2]);
        high = fmaxf(high, p[3]);
    }
    sums[own] = sum;
    lows[own] = low;
    highs[own] = high;
    __syncthreads();
    if (own == 0) {
        float all = 0.0f;
        for (unsigned j = 0; j < min(BLOCKS, (unsigned)LANES); j++) {
            all += sums[j];
            low = fminf(low, lows[j]);
            high = fmaxf(high, highs[j]);
        }
        whole = all;
    }
    __syncthreads();
    const float mean = origin + whole / (float)(D * H * W);
    float square = 0.0f;
    for (unsigned b = own; b < BLOCKS; b += LANES) {
        const float *p = from + 4 * (size_t)b * C;
        const float away = p[0] - mean;
        square += p[1] + size_of(b) * away * away;
    }
    squares[own] = square;
    __syncthreads();
    if (own > 0) {
        return;
    }
    square = 0.0f;
    for (unsigned j = 0; j < min(BLOCKS, (unsigned)LANES); j++) {
        square += squares[j];
    }
    const float variance = square / (float)(D * H * W);
    if (STATS) {
        out[2 * i] = mean;
        out[2 * i + 1] = 1.0f / sqrtf(variance + EPS);
    } else {
        out[4 * i] = mean;
        out[4 * i + 1] = variance;
        out[4 * i + 2] = low;
        out[4 * i + 3] = high;
    }
}
