// Warp: y[n o c] = x at p = A·(o − (size−1)/2 + u) + t, linear between voxels and 0 outside
//
//   x [N XD XH XW C]   ctl: rows (A, t) from CTL on   field [N D H W 3]: u, if ELASTIC   y T [N D H W C]
//
// CUBIC: y is the cubic convolution (Keys, a = −½) of the 4³ voxels around p, which the border of the source continues; 0 where ⌊p + ½⌋ is outside
//
// One thread makes one element of y. Threads: COUNT.
//
// Prelude: T; ELASTIC, CUBIC (bool); XD, XH, XW, D, H, W, C, CTL, COUNT (unsigned).

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

// The weight of a voxel that is t away, of a cubic convolution.
DEVICE float keys(float t) {
    return t <= 1.0f ? (1.5f * t - 2.5f) * t * t + 1.0f : ((-0.5f * t + 2.5f) * t - 4.0f) * t + 2.0f;
}

// A voxel, within an axis.
DEVICE int within(int i, unsigned size) { return min(max(i, 0), (int)size - 1); }

// Whether the voxel next to a place is on its axis.
DEVICE bool meets(int low, float f, unsigned size) {
    const int near = low + (f >= 0.5f ? 1 : 0);
    return near >= 0 && near < (int)size;
}

DEVICE float cubic(const Spot &p, const float *from) {
    if (!meets(p.d, p.fd, XD) || !meets(p.h, p.fh, XH) || !meets(p.w, p.fw, XW)) {
        return 0.0f;
    }
    float sum = 0.0f;
    for (int d = -1; d < 3; d++) {
        for (int h = -1; h < 3; h++) {
            for (int w = -1; w < 3; w++) {
                const float weight =
                    keys(fabsf(p.fd - (float)d)) * keys(fabsf(p.fh - (float)h)) * keys(fabsf(p.fw - (float)w));
                if (weight != 0.0f) {
                    const int at = (within(p.d + d, XD) * (int)XH + within(p.h + h, XH)) * (int)XW + within(p.w + w, XW);
                    sum += weight * from[(size_t)at * C];
                }
            }
        }
    }
    return sum;
}

KERNEL warp(T *y, const float *x, const float *ctl, const float *field) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned v = i / C, n = v / (D * H * W);
    const Spot p = spot(ctl + CTL + 12 * n, field, v);
    const float *from = x + (size_t)n * XD * XH * XW * C + i % C;
    if (CUBIC) {
        y[i] = stored<T>(cubic(p, from));
        return;
    }
    float sum = 0.0f;
    for (unsigned j = 0; j < 8; j++) {
        const float weight = weight_of(p, j);
        const int at = voxel_of(p, j);
        if (at >= 0 && weight > 0.0f) {
            sum += weight * from[(size_t)at * C];
        }
    }
    y[i] = stored<T>(sum);
}
