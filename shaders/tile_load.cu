// TileLoad: y[n i c] = volume[corner + i* c]   i* is i, reversed on the axes of the row's mirror bits
//
//   volume [VD VH VW C]   ctl: rows from CTL on   y T [N D H W C]
//
// Outside of the volume y is 0. One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; VD, VH, VW, D, H, W, C, CTL, COUNT (unsigned).

// Where voxel i of an axis of a tile lies in the volume.
DEVICE unsigned loaded(float corner, unsigned i, unsigned size, bool mirrored) {
    return (unsigned)((int)corner + (int)(mirrored ? size - 1 - i : i)); // below 0 is above any size
}

KERNEL tile_load(T *y, const float *volume, const float *ctl) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const float *row = ctl + CTL + 8 * (i / (C * W * H * D));
    const unsigned bits = (unsigned)row[6];
    const unsigned d = loaded(row[0], i / (C * W * H) % D, D, bits & 1u);
    const unsigned h = loaded(row[1], i / (C * W) % H, H, bits & 2u);
    const unsigned w = loaded(row[2], i / C % W, W, bits & 4u);
    const bool inside = d < VD && h < VH && w < VW;
    y[i] = stored<T>(inside ? volume[((d * VH + h) * VW + w) * C + i % C] : 0.0f);
}
