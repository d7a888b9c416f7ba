// Fold: out[g i] = Σ parts[s i] over the splits s of group g, the second half of reductions
//
//   parts [SPLITS ITEMS]   out [COUNT/ITEMS ITEMS]
//
// A group is EACH splits that follow each other, the last may have fewer. One thread
// makes one sum, in order. Threads: COUNT.
//
// Prelude: SPLITS, EACH, ITEMS, COUNT (unsigned).

KERNEL fold(float *out, const float *parts) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned first = i / ITEMS * EACH, last = min(first + EACH, SPLITS);
    float sum = 0.0f;
    for (unsigned s = first; s < last; s++) {
        sum += parts[(size_t)s * ITEMS + i % ITEMS];
    }
    out[i] = sum;
}
