// Cut: y[n i c] = case[corner + i c]   the case is that of row n of ctl
//
//   store T [V C]   ctl: rows from CTL on   y T [N D H W C]
//
// Outside of the case y is FILL. T is float, or u8 with C = 1. Voxels of a store are more
// than 32 bits count. One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; D, H, W, C, CTL, FILL, COUNT (unsigned).

KERNEL cut(T *y, const T *store, const float *ctl) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const float *row = ctl + CTL + 8 * (i / (C * W * H * D));
    const size_t first = (size_t)row[0] + ((size_t)row[1] << 16);
    const unsigned vd = (unsigned)row[2], vh = (unsigned)row[3], vw = (unsigned)row[4];
    const unsigned d = (unsigned)((int)row[5] + (int)(i / (C * W * H) % D)); // below 0 is above any size
    const unsigned h = (unsigned)((int)row[6] + (int)(i / (C * W) % H));
    const unsigned w = (unsigned)((int)row[7] + (int)(i / C % W));
    const bool inside = d < vd && h < vh && w < vw;
    y[i] = inside ? store[(first + ((size_t)d * vh + h) * vw + w) * C + i % C] : (T)FILL;
}
