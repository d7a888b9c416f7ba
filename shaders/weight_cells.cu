// WeightCells: weights as conv3d_wgmma reads them, and those of its adjoint
//
//   w T [TAPS WROWS WCOLS]   cells T [tiles CHUNKS TAPS BK/8 BN 8]
//
//   cells[t k o j e] = w[k c co]          c of chunk and o·8 + e, co = tile·BN + j
//   REVERSED           w[TAPS−1−k co c]   co from row W0 on
//
// Chunks are of BK channels of the first input, C1, then of the second, C2; zeros where
// there is no channel. One thread makes one element. Threads: COUNT.
//
// Prelude: T; REVERSED (bool); WROWS, WCOLS, W0, C1, C2, CO, TAPS, CHUNKS, CHUNKS1 (of the
// first input), BN, BK, COUNT (unsigned).

KERNEL weight_cells(T *cells, const T *w) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned co = i / 8 % BN + i / (BK * BN * TAPS * CHUNKS) * BN;
    const unsigned k = i / (BK * BN) % TAPS, chunk = i / (BK * BN * TAPS) % CHUNKS;
    const bool second = chunk >= CHUNKS1;
    const unsigned own = (second ? chunk - CHUNKS1 : chunk) * BK + i / (8 * BN) % (BK / 8) * 8 + i % 8;
    const unsigned c = (second ? C1 : 0) + own;
    if (own >= (second ? C2 : C1) || co >= CO) {
        cells[i] = stored<T>(0.0f);
    } else if (REVERSED) {
        cells[i] = w[((size_t)(TAPS - 1 - k) * WROWS + W0 + co) * WCOLS + c];
    } else {
        cells[i] = w[((size_t)k * WROWS + c) * WCOLS + co];
    }
}
