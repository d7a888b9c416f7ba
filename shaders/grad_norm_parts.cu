// GradNormParts: Σ g² and how many g are not finite, of 4096 gradients
//
//   grads [COUNT]   parts [blocks 2], from FIRST on
//
// A block of 256 threads makes one part: each 16 gradients, then a tree. Gaps
// between gradients are zero. Blocks: COUNT / 4096, rounded up.
//
// Prelude: COUNT, FIRST (unsigned).

KERNEL grad_norm_parts(float *parts, const float *grads) {
    __shared__ float squares[256], faults[256];
    const unsigned lane = threadIdx.x;
    float sum = 0.0f, fault = 0.0f;
    for (unsigned j = 0; j < 16; j++) {
        const unsigned i = blockIdx.x * 4096 + j * 256 + lane;
        if (i < COUNT) {
            const float g = grads[i];
            sum += finite(g) ? g * g : 0.0f;
            fault += finite(g) ? 0.0f : 1.0f;
        }
    }
    squares[lane] = sum;
    faults[lane] = fault;
    __syncthreads();
    for (unsigned n = 128; n > 0; n /= 2) {
        if (lane < n) {
            squares[lane] += squares[lane + n];
            faults[lane] += faults[lane + n];
        }
        __syncthreads();
    }
    if (lane == 0) {
        parts[2 * (FIRST + blockIdx.x)] = squares[0];
        parts[2 * (FIRST + blockIdx.x) + 1] = faults[0];
    }
}
