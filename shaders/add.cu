// Add, AddAct: y = leaky(a + b)      ActGrad (GRAD): y = b ≥ 0 ? a : SLOPE·a
//
//   a, b, y T [COUNT]
//
// One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; GRAD (bool); COUNT (unsigned); SLOPE (float).

KERNEL add(T *y, const T *a, const T *b) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const float u = float_of(a[i]), v = float_of(b[i]);
    if (GRAD) {
        y[i] = stored<T>(v >= 0.0f ? u : SLOPE * u);
    } else {
        y[i] = stored<T>(leaky(u + v, SLOPE));
    }
}
