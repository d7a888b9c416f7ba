// GradNorm: norm = √Σg² / scale   factor = min(1, clip/(norm + 1e-6)) / scale   into ctl
//
//   parts [COUNT 2], see grad_norm_parts   ctl: rate, scale, clip, norm, finite, factor, good, steps, skipped
//
// One block of 256 threads: each adds the parts p, p mod 256 its own, then the
// first adds what the others have and makes all. Blocks: 1.
//
// Prelude: COUNT, GROWTH (unsigned).

KERNEL grad_norm(float *ctl, const float *parts) {
    __shared__ float squares[256], faults[256];
    const unsigned lane = threadIdx.x;
    float sum = 0.0f, fault = 0.0f;
    for (unsigned i = lane; i < COUNT; i += 256) {
        sum += parts[2 * i];
        fault += parts[2 * i + 1];
    }
    squares[lane] = sum;
    faults[lane] = fault;
    __syncthreads();
    if (lane > 0) {
        return;
    }
    for (unsigned j = 1; j < 256; j++) {
        sum += squares[j];
        fault += faults[j];
    }
    const float scale = ctl[1];
    if (fault > 0.0f) {
        ctl[4] = 0.0f;
        ctl[6] = 0.0f;
        ctl[8] += 1.0f;
        if (GROWTH > 0) {
            ctl[1] = scale / 2.0f;
        }
        return;
    }
    const float norm = sqrtf(sum) / scale;
    const float factor = ctl[2] > 0.0f ? fminf(1.0f, ctl[2] / (norm + 1e-6f)) : 1.0f;
    ctl[3] = norm;
    ctl[4] = 1.0f;
    ctl[5] = factor / scale;
    ctl[7] += 1.0f;
    ctl[6] += 1.0f;
    if (GROWTH > 0 && ctl[6] >= (float)GROWTH) {
        ctl[6] = 0.0f;
        ctl[1] = scale * 2.0f;
    }
}
