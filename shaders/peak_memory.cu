// PeakMemory: z = x + 3·y, as fast as memory can
//
//   z, x, y f32 [threads·16]
//
// What kernels that move numbers are measured by: arrays beyond the caches, each read or
// written once, 16 bytes a thread at a time and four of them under way, so that memory never
// waits for a thread. Those of a warp lie side by side.
//
// Blocks: of THREADS, as many as the arrays need. No prelude.

constexpr int THREADS = 256;
constexpr int EACH = 4; // vectors of a thread

KERNEL __launch_bounds__(THREADS) peak_memory(float *z, const float *x, const float *y) {
    const size_t first = ((size_t)blockIdx.x * EACH * THREADS + threadIdx.x) * 4;
    float u[EACH][4], v[EACH][4];
    UNROLL for (int i = 0; i < EACH; i++) {
        load_vector(u[i], x + first + i * THREADS * 4);
        load_vector(v[i], y + first + i * THREADS * 4);
    }
    UNROLL for (int i = 0; i < EACH; i++) {
        UNROLL for (int c = 0; c < 4; c++) {
            u[i][c] += 3.0f * v[i][c];
        }
        store_vector(z + first + i * THREADS * 4, u[i]);
    }
}
