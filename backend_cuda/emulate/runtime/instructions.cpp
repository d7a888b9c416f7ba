// Instructions of threads and of warps, behind emulate.cpp: copies to shared memory,
// and those of tensor cores.

void emulate_copy(void *to, const void *from, unsigned size, unsigned n) {
    if (((uintptr_t)to | (uintptr_t)from) % size) {
        stop("cp.async of an address that is not a multiple of its size");
    }
    if (n > 0) { // a fault comes where the hardware's would
        (void)*(volatile const unsigned char *)from;
        (void)*((volatile const unsigned char *)from + n - 1);
    }
    memset(to, 0xFF, size);
    self().copies.push_back({to, from, size, n, self().committed});
}

void emulate_commit() { self().committed++; }

void emulate_wait(unsigned pending) {
    Fiber &f = self();
    size_t kept = 0;
    for (const Copy &c : f.copies) {
        if (c.group + pending < f.committed) {
            memcpy(c.to, c.from, c.n);
            memset((char *)c.to + c.n, 0, c.size - c.n);
        } else {
            f.copies[kept++] = c;
        }
    }
    f.copies.resize(kept);
}

// ---- tensor cores

// What lane l gets of matrix m is elements 2·(l mod 4) and the next of row l / 4;
// transposed, of column l / 4.
namespace {
struct Matrices {
    const uint16_t *row;
    unsigned *r;
};
template <bool transposed> void loaded(void **lanes) {
    for (int m = 0; m < 4; m++) {
        for (int l = 0; l < 32; l++) {
            unsigned pair = 0;
            for (int e = 0; e < 2; e++) {
                const int i = l / 4, j = 2 * (l % 4) + e;
                pair |= (unsigned)((Matrices *)lanes[8 * m + (transposed ? j : i)])->row[transposed ? i : j] << 16 * e;
            }
            ((Matrices *)lanes[l])->r[m] = pair;
        }
    }
}

struct Product {
    float *d;
    const unsigned *a;
    unsigned b[2];
};

float up(unsigned bits, emulate_type type) {
    if (type == emulate_f16) {
        const uint16_t low = (uint16_t)bits;
        _Float16 h;
        memcpy(&h, &low, 2);
        return (float)h;
    }
    const uint32_t u = type == emulate_bf16 ? bits << 16 : bits & 0xffffe000u;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

// With g = l / 4 and t = l mod 4, lane l has of a what lies at (g, t), (g+8, t),
// (g, t+4), (g+8, t+4), of b at (t, g), (t+4, g), in words along k: two halves or a
// float. Of d it has (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1).
template <emulate_type type> void multiplied(void **lanes) {
    constexpr int per = type == emulate_tf32 ? 1 : 2, depth = 8 * per;
    float a[16][depth], b[depth][8], d[16][8];
    for (int l = 0; l < 32; l++) {
        const Product &p = *(Product *)lanes[l];
        const int g = l / 4, t = l % 4;
        for (int e = 0; e < per; e++) {
            for (int i = 0; i < 4; i++) {
                a[g + i % 2 * 8][(t + i / 2 * 4) * per + e] = up(p.a[i] >> 16 * e, type);
            }
            for (int i = 0; i < 2; i++) {
                b[(t + i * 4) * per + e][g] = up(p.b[i] >> 16 * e, type);
            }
        }
        for (int i = 0; i < 4; i++) {
            d[g + i / 2 * 8][2 * t + i % 2] = p.d[i];
        }
    }
    for (int i = 0; i < 16; i++) {
        for (int k = 0; k < depth; k++) {
            for (int j = 0; j < 8; j++) {
                d[i][j] += a[i][k] * b[k][j];
            }
        }
    }
    for (int l = 0; l < 32; l++) {
        for (int i = 0; i < 4; i++) {
            ((Product *)lanes[l])->d[i] = d[l / 4 + i / 2 * 8][2 * (l % 4) + i % 2];
        }
    }
}
} // namespace

void emulate_matrices(unsigned r[4], const void *row, bool transposed) {
    Matrices m = {(const uint16_t *)row, r};
    emulate_collective(transposed ? loaded<true> : loaded<false>, &m, ~0u, 32);
}

void emulate_multiply(float d[4], const unsigned a[4], unsigned b0, unsigned b1, emulate_type type) {
    Product p = {d, a, {b0, b1}};
    const emulate_operation of[] = {multiplied<emulate_f16>, multiplied<emulate_bf16>, multiplied<emulate_tf32>};
    emulate_collective(of[type], &p, ~0u, 32);
}
