// Differ: found = 1 where a and b are not the same
//
//   found u32 [1]   a, b u32 [N]   n u32 [1] is N
//
// Threads share the words, however many they are.

KERNEL differ(unsigned *found, const unsigned *a, const unsigned *b, const unsigned *n) {
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < *n; i += (size_t)gridDim.x * blockDim.x) {
        if (a[i] != b[i]) {
            *found = 1;
        }
    }
}
