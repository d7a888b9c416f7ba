// NormTable: what NormAct does to a channel, for the kernels that make it as they read
//
//   table [N C 4]: mean, rstd, gamma, beta   gamma, beta [C]   stats [N C 2]
//
// One thread makes one channel of a sample. Threads: COUNT = N·C.
//
// Prelude: C, COUNT (unsigned).

KERNEL norm_table(float *table, const float *gamma, const float *beta, const float *stats) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    table[4 * i] = stats[2 * i];
    table[4 * i + 1] = stats[2 * i + 1];
    table[4 * i + 2] = gamma[i % C];
    table[4 * i + 3] = beta[i % C];
}
