// WarpLabels: the label with the largest linear weight at p, see warp; 255 is outside
//
//   x u8 [N XD XH XW]   ctl: rows (A, t) from CTL on   field [N D H W 3]: u, if ELASTIC   y u8 [N D H W]
//
// Of equals 255 wins, else the smaller one. NEAREST: the label of ⌊p + ½⌋. One thread makes
// one label. Threads: COUNT.
//
// Prelude: ELASTIC, NEAREST (bool); XD, XH, XW, D, H, W, CTL, COUNT (unsigned).

// Where a voxel of the patch lies in the source: the voxel below, and the shares of
// those above.
struct Spot {
    int d, h, w;
    float fd, fh, fw;
};

// One axis: within two voxels of the source.
DEVICE void settle(float p, unsigned size, int &low, float &f) {
    p = fminf(fmaxf(p, -2.0f), (float)size);
    low = (int)floorf(p);
    f = p - floorf(p);
}

DEVICE Spot spot(const float *m, const float *u, unsigned v) {
    float od = (float)(v / (W * H) % D) - (float)(D - 1) * 0.5f;
    float oh = (float)(v / W % H) - (float)(H - 1) * 0.5f;
    float ow = (float)(v % W) - (float)(W - 1) * 0.5f;
    if (ELASTIC) {
        od += u[3 * (size_t)v];
        oh += u[3 * (size_t)v + 1];
        ow += u[3 * (size_t)v + 2];
    }
    Spot s;
    settle(m[9] + (m[0] * od + m[1] * oh + m[2] * ow), XD, s.d, s.fd);
    settle(m[10] + (m[3] * od + m[4] * oh + m[5] * ow), XH, s.h, s.fh);
    settle(m[11] + (m[6] * od + m[7] * oh + m[8] * ow), XW, s.w, s.fw);
    return s;
}

// The weight of corner j of the eight, and its voxel in the source; -1 outside.
DEVICE float weight_of(const Spot &p, unsigned j) {
    return (j & 4u ? p.fd : 1.0f - p.fd) * (j & 2u ? p.fh : 1.0f - p.fh) * (j & 1u ? p.fw : 1.0f - p.fw);
}

DEVICE int voxel_of(const Spot &p, unsigned j) {
    const int d = p.d + (int)(j >> 2), h = p.h + (int)(j >> 1 & 1u), w = p.w + (int)(j & 1u);
    if (d < 0 || d >= (int)XD || h < 0 || h >= (int)XH || w < 0 || w >= (int)XW) {
        return -1;
    }
    return (d * (int)XH + h) * (int)XW + w;
}

KERNEL warp_labels(u8 *y, const u8 *x, const float *ctl, const float *field) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned n = i / (D * H * W);
    const Spot p = spot(ctl + CTL + 12 * n, field, i);
    if (NEAREST) {
        const unsigned up = (p.fd >= 0.5f ? 4u : 0u) | (p.fh >= 0.5f ? 2u : 0u) | (p.fw >= 0.5f ? 1u : 0u);
        const int at = voxel_of(p, up);
        y[i] = at < 0 ? (u8)255 : x[(size_t)n * XD * XH * XW + at];
        return;
    }
    unsigned found[8]; // plus 1: outside is 0, the smallest
    for (unsigned j = 0; j < 8; j++) {
        const int at = voxel_of(p, j);
        found[j] = at < 0 ? 0 : (x[(size_t)n * XD * XH * XW + at] + 1u) & 255u;
    }
    unsigned best = 0;
    float most = -1.0f;
    for (unsigned j = 0; j < 8; j++) {
        float sum = 0.0f;
        for (unsigned l = 0; l < 8; l++) {
            sum += found[l] == found[j] ? weight_of(p, l) : 0.0f;
        }
        if (sum > most || (sum == most && found[j] < best)) {
            most = sum;
            best = found[j];
        }
    }
    y[i] = (u8)(best + 255u);
}
