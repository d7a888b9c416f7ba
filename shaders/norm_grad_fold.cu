// NormGradFold: the sums of channels from those of their blocks; dgamma and dbeta
//
//   parts [N BLOCKS C 2]   sums [N C 2]: Σ g, Σ g·x̂   dgamma[c] = Σ g·x̂   dbeta[c] = Σ g, over all samples
//
// A block makes those of one channel: each of its LANES threads adds the blocks b, b
// mod LANES its own, and the first adds what the others have. Blocks: C.
//
// Prelude: N, C, BLOCKS (unsigned); LANES (int).

KERNEL norm_grad_fold(float *sums, float *dgamma, float *dbeta, const float *parts) {
    __shared__ float gs[LANES], products[LANES];
    const unsigned c = blockIdx.x, own = threadIdx.x;
    float all_g = 0.0f, all_product = 0.0f;
    for (unsigned n = 0; n < N; n++) {
        float g = 0.0f, product = 0.0f;
        for (unsigned b = own; b < BLOCKS; b += LANES) {
            const float *p = parts + 2 * (size_t)((n * BLOCKS + b) * C + c);
            g += p[0];
            product += p[1];
        }
        gs[own] = g;
        products[own] = product;
        __syncthreads();
        if (own == 0) {
            g = 0.0f;
            product = 0.0f;
            for (unsigned j = 0; j < LANES; j++) {
                g += gs[j];
                product += products[j];
            }
            sums[2 * (n * C + c)] = g;
            sums[2 * (n * C + c) + 1] = product;
            all_g += g;
            all_product += product;
        }
        __syncthreads();
    }
    if (own == 0) {
        dgamma[c] = all_product;
        dbeta[c] = all_g;
    }
}
