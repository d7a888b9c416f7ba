// Labels: the label of the first largest logit acc/norm, resampled to the grid of a scan
//
//   acc [S H W K]   norm [S H W]   ctl[CTL]: first plane   chosen u8 [K]   y u8 [PLANES OH OW]
//
// Voxel o of an axis lies at (o + ½)·n/n′ − ½, clamped; on a nearest axis it is
// voxel ⌊(o + ½)·n/n′⌋. With REGIONS the label is the last chosen[k] whose logit is
// above 0. One thread makes one label. Threads: COUNT.
//
// Prelude: REGIONS, NEAR_D, NEAR_H, NEAR_W (bool); S, DEPTH, H, W, K, OD, OH, OW,
// CTL, COUNT (unsigned).

struct Between {
    unsigned low, high;
    float f; // the share of high
};

// Where voxel o of m lies on an axis of n: quotients of integers are exact.
DEVICE Between between(unsigned o, unsigned n, unsigned m, bool near) {
    const unsigned long long twice = (2ull * o + 1) * n;
    if (near) {
        const unsigned v = (unsigned)(twice / (2ull * m));
        return {v, v, 0.0f};
    }
    if (twice < m) {
        return {0, 0, 0.0f};
    }
    const unsigned v = (unsigned)((twice - m) / (2ull * m));
    if (v + 1 >= n) {
        return {n - 1, n - 1, 0.0f};
    }
    return {v, v + 1, (float)((twice - m) % (2ull * m)) / (float)(2ull * m)};
}

// The logits that a label depends on.
struct Logits {
    const float *acc, *norm;
    Between d, h, w;

    DEVICE float at(unsigned pd, unsigned ph, unsigned pw, unsigned k) const {
        const size_t v = (size_t)(pd % S * H + ph) * W + pw;
        return acc[v * K + k] / norm[v];
    }

    DEVICE float along(unsigned pd, unsigned ph, unsigned k) const {
        const float a = at(pd, ph, w.low, k);
        return w.f == 0.0f ? a : (1.0f - w.f) * a + w.f * at(pd, ph, w.high, k);
    }

    DEVICE float plane(unsigned pd, unsigned k) const {
        const float a = along(pd, h.low, k);
        return h.f == 0.0f ? a : (1.0f - h.f) * a + h.f * along(pd, h.high, k);
    }

    DEVICE float of(unsigned k) const {
        const float a = plane(d.low, k);
        return d.f == 0.0f ? a : (1.0f - d.f) * a + d.f * plane(d.high, k);
    }
};

KERNEL labels(u8 *y, const float *acc, const float *norm, const float *ctl, const u8 *chosen) {
    const unsigned i = thread();
    if (i >= COUNT) {
        return;
    }
    const unsigned o = (unsigned)((int)ctl[CTL] + (int)(i / (OW * OH))); // below 0 is above OD
    if (o >= OD) {
        y[i] = 0;
        return;
    }
    const Logits z = {acc, norm, between(o, DEPTH, OD, NEAR_D), between(i / OW % OH, H, OH, NEAR_H), between(i % OW, W, OW, NEAR_W)};
    unsigned label = 0;
    float best = 0.0f;
    for (unsigned k = 0; k < K; k++) {
        const float e = z.of(k);
        if (REGIONS) {
            label = e > 0.0f ? chosen[k] : label;
        } else if (k == 0 || e > best) {
            best = e;
            label = k;
        }
    }
    y[i] = (u8)label;
}
