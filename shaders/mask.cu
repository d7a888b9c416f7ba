// Mask: y = 0 in the chosen channels where the label is 255, else x
//
//   x, y T [V C]   labels u8 [V]   chosen u8 [C]
//
// One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; C, COUNT (unsigned).

KERNEL mask(T *y, const T *x, const u8 *labels, const u8 *chosen) {
    const unsigned i = thread();
    if (i < COUNT) {
        y[i] = chosen[i % C] == 1 && labels[i / C] == 255 ? stored<T>(0.0f) : x[i];
    }
}
