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
            f.landed = true;
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
    collective(transposed ? loaded<true> : loaded<false>, &m, ~0u, 32);
}

void emulate_multiply(float d[4], const unsigned a[4], unsigned b0, unsigned b1, emulate_type type) {
    Product p = {d, a, {b0, b1}};
    const emulate_operation of[] = {multiplied<emulate_f16>, multiplied<emulate_bf16>, multiplied<emulate_tf32>};
    collective(of[type], &p, ~0u, 32);
}

// ---- wgmma
namespace {
// Element (row, k) of an operand: eight rows of 16 bytes follow each other; the descriptor
// has the distances along k by eight, and along rows by eight. Transposed, it is eight of
// k that follow each other.
const uint16_t *element(unsigned long of, unsigned row, unsigned k, bool transposed) {
    const unsigned first = (of & 0x3fff) * 16, deep = (of >> 16 & 0x3fff) * 16, next = (of >> 32 & 0x3fff) * 16;
    const unsigned inside = transposed ? k % 8 * 16 + row % 8 * 2 : row % 8 * 16 + k % 8 * 2;
    const unsigned at = first + row / 8 * next + k / 8 * deep + inside;
    return of >> 62 || at + 2 > launch.dims[6] ? nullptr : (const uint16_t *)(dynamicShared + at);
}

// The operands of f, rows of a, then of b; false if one is not in shared memory.
bool operands(const Flight &f, std::vector<uint16_t> &all) {
    for (unsigned row = 0; row < 64 + f.n; row++) {
        for (unsigned k = 0; k < 16; k++) {
            const uint16_t *e = row < 64 ? element(f.a, row, k, f.transposed) : element(f.b, row - 64, k, f.transposed);
            if (!e) {
                return false;
            }
            all.push_back(*e);
        }
    }
    return true;
}

Fiber &leader() { return fibers[emulate_now->rank / 128 * 128]; }

struct GroupProduct {
    float *d;
    unsigned n;
    unsigned long a, b;
    emulate_type type;
    bool transposed;
};

void begun(void **lanes) {
    Fiber &first = leader();
    const GroupProduct &p = *(GroupProduct *)lanes[0];
    Flight f = {p.type, p.transposed, p.n, first.batches, p.a, p.b, {}, {}};
    for (unsigned l = 0; l < 128; l++) {
        const GroupProduct &o = *(GroupProduct *)lanes[l];
        if (o.a != p.a || o.b != p.b || o.n != p.n) {
            wrong(self(), "the operands of wgmma differ within its group");
            return;
        }
        f.d[l] = o.d;
    }
    if (!first.fenced) {
        wrong(self(), "wgmma without wgmma.fence before it");
    } else if (unfenced) {
        wrong(self(), "wgmma reads shared memory that was copied without a fence");
    } else if (!operands(f, f.before)) {
        wrong(self(), "wgmma reads beyond shared memory, or with a swizzle");
    } else {
        first.flights.push_back(std::move(f));
    }
}

// Lane l of warp w has rows 16·w + l / 4 and that + 8, columns 8·j + 2·(l mod 4) and the next.
void land(const Flight &f) {
    static float a[64][16], b[16][256], d[64][256];
    for (unsigned row = 0; row < 64 + f.n; row++) {
        for (unsigned k = 0; k < 16; k++) {
            (row < 64 ? a[row][k] : b[k][row - 64]) = up(f.before[row * 16 + k], f.type);
        }
    }
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned l = 0; l < 128; l++) {
            for (unsigned i = 0; i < f.n / 2; i++) {
                float &sum = d[l / 32 * 16 + l % 32 / 4 + i / 2 % 2 * 8][i / 4 * 8 + l % 4 * 2 + i % 2];
                (pass ? f.d[l][i] : sum) = pass ? sum : f.d[l][i];
            }
        }
        for (unsigned i = 0; !pass && i < 64; i++) {
            for (unsigned k = 0; k < 16; k++) {
                for (unsigned j = 0; j < f.n; j++) {
                    d[i][j] += a[i][k] * b[k][j];
                }
            }
        }
    }
}

void waited(void **lanes) {
    Fiber &first = leader();
    const unsigned pending = *(unsigned *)lanes[0];
    std::vector<Flight> kept;
    for (Flight &f : first.flights) {
        if (f.batch + pending >= first.batches) {
            kept.push_back(std::move(f));
            continue;
        }
        std::vector<uint16_t> now;
        operands(f, now);
        if (now != f.before) {
            wrong(self(), "shared memory changes under wgmma");
            return;
        }
        land(f);
    }
    first.flights.swap(kept);
}
} // namespace

void emulate_group(float *d, unsigned n, unsigned long a, unsigned long b, emulate_type type, bool transposed) {
    GroupProduct p = {d, n, a, b, type, transposed};
    collective(begun, &p, ~0u, 128);
}

void emulate_group_fence() {
    collective([](void **) { leader().fenced = true; }, nullptr, ~0u, 128);
}

void emulate_group_commit() {
    collective([](void **) { leader().batches++; }, nullptr, ~0u, 128);
}

void emulate_group_wait(unsigned pending) { collective(waited, &pending, ~0u, 128); }

void emulate_fence() { self().landed = false; }
