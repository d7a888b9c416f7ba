// Fold: out[i] = Σ parts[s i], the second half of reductions
//
//   parts [SPLITS COUNT]   out [COUNT]
//
// One thread makes one sum, in order. Threads: COUNT.
//
// Prelude: SPLITS, COUNT (unsigned).

KERNEL fold(float *out, const float *parts) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    float sum = 0.0f;
    for (unsigned s = 0; s < SPLITS; s++) {
        sum += parts[s * COUNT + i];
    }
    out[i] = sum;
}
