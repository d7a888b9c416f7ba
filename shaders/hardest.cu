// Hardest: the class of the voxels whose cross entropy is among the largest, 255 for the others
//
//   keys [N D H W], see hardest_keys   pick [2], see hardest_pick   labels u8 [N D·SD H·SH W·SW]   y u8 [N D H W]
//
// One thread makes one label. Threads: COUNT.
//
// Prelude: H, W, K, SD, SH, SW, COUNT (unsigned).

KERNEL hardest(u8 *y, const u8 *labels, const unsigned *keys, const unsigned *pick) {
    const unsigned v = thread();
    if (v >= COUNT) {
        return;
    }
    const unsigned key = keys[v], d = v / (W * H);
    const unsigned label =
        labels[((size_t)(d * SD + SD / 2) * H * SH + v / W % H * SH + SH / 2) * W * SW + v % W * SW + SW / 2];
    const bool out = key == 0 || key < pick[0] || (key == pick[0] && v > pick[1]);
    y[v] = (u8)(out ? 255 : label >= K ? 0 : label);
}
