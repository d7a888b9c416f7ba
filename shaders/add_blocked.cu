// Add, AddAct, ActGrad in vectors: y = leaky(a + b), or with GRAD y = b ≥ 0 ? a : SLOPE·a, see add
//
//   a, b, y T [COUNT·PER]
//
// One thread makes 16 bytes of y. Threads: COUNT.
//
// Prelude: T; GRAD (bool); COUNT (unsigned); SLOPE (float).

constexpr int PER = 16 / sizeof(T);

KERNEL add_blocked(T *y, const T *a, const T *b) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    float u[PER], v[PER];
    load_vector(u, a + (size_t)i * PER);
    load_vector(v, b + (size_t)i * PER);
    UNROLL for (int c = 0; c < PER; c++) {
        u[c] = GRAD ? (v[c] >= 0.0f ? u[c] : SLOPE * u[c]) : leaky(u[c] + v[c], SLOPE);
    }
    store_vector(y + (size_t)i * PER, u);
}
