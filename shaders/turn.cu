// Turn: y[k c r] = w[k r c], weights with rows and columns exchanged
//
//   w f32 [TAPS ROWS COLS]   y f32 [TAPS COLS ROWS]
//
// One thread makes one element. Threads: COUNT = TAPS·ROWS·COLS.
//
// Prelude: ROWS, COLS, COUNT (unsigned).

KERNEL turn(float *y, const float *w) {
    const unsigned i = thread();
    if (i < COUNT) {
        y[i] = w[(i / (ROWS * COLS) * ROWS + i % ROWS) * COLS + i / ROWS % COLS];
    }
}
