// HalfCopy: y = w, rounded to 16 bits, after a Step that was taken
//
//   w [COUNT]   y T [COUNT]   ctl: finite 4
//
// One thread makes one element. Threads: COUNT.
//
// Prelude: T; COUNT (unsigned).

KERNEL half_copy(T *y, const float *w, const float *ctl) {
    const unsigned i = thread();
    if (i < COUNT && ctl[4] != 0.0f) {
        y[i] = stored<T>(w[i]);
    }
}
