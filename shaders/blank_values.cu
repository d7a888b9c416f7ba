// BlankValues: the means of boxes, one after the other, each over what those before it have made
//
//   values [N C BOXES]   x T [N D H W C]   ctl: rows of [N C BOXES 6] from CTL on: first voxel and size
//
// A block of threads makes those of one channel: its LANES threads add the voxels of a box,
// and the first what they have. Blocks: N·C.
//
// Prelude: T; D, H, W, C, CTL (unsigned); BOXES, LANES (int).

KERNEL blank_values(float *values, const T *x, const float *ctl) {
    __shared__ float sums[LANES], means[BOXES];
    const unsigned channel = blockIdx.x, own = threadIdx.x;
    const float *rows = ctl + CTL + 6 * (size_t)channel * BOXES;
    for (int b = 0; b < BOXES; b++) {
        const float *r = rows + 6 * b;
        const unsigned sd = (unsigned)r[3], sh = (unsigned)r[4], sw = (unsigned)r[5], count = sd * sh * sw;
        float sum = 0.0f;
        for (unsigned k = own; k < count; k += LANES) {
            const unsigned d = (unsigned)r[0] + k / (sh * sw), h = (unsigned)r[1] + k / sw % sh, w = (unsigned)r[2] + k % sw;
            float v = float_of(x[(((channel / C * D + d) * H + h) * W + w) * C + channel % C]);
            for (int j = 0; j < b; j++) {
                const float *q = rows + 6 * j;
                if (d - (unsigned)q[0] < (unsigned)q[3] && h - (unsigned)q[1] < (unsigned)q[4] && w - (unsigned)q[2] < (unsigned)q[5]) {
                    v = means[j];
                }
            }
            sum += v;
        }
        sums[own] = sum;
        __syncthreads();
        if (own == 0) {
            sum = 0.0f;
            for (int j = 0; j < LANES; j++) {
                sum += sums[j];
            }
            means[b] = sum / (float)max(count, 1u);
            values[channel * BOXES + b] = means[b];
        }
        __syncthreads();
    }
}
