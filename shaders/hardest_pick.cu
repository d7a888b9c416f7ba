// HardestPick: the least of the CHOSEN largest keys, and the last place of a key equal to it that counts
//
//   keys [V]   pick [2]: key, place
//
// One block looks at eight bits of all keys at a time, then at those of the places
// of keys that are equal to the least, largest first. Blocks: 1, of LANES threads.
//
// Prelude: V, CHOSEN (unsigned); LANES (int), at least 256.

// One round: finds the eight bits above shift of what chosen begins with, of which
// there are left to be found. Places are turned around, so that the first are the
// largest.
DEVICE void look(const unsigned *keys, unsigned *found, unsigned &chosen, unsigned &left, unsigned shift, bool places,
                 unsigned least) {
    const unsigned own = threadIdx.x, begin = chosen;
    if (own < 256) {
        found[own] = 0;
    }
    __syncthreads();
    for (unsigned i = own; i < V; i += LANES) {
        const unsigned key = places ? ~i : keys[i];
        if ((!places || keys[i] == least) && key >> 8 >> shift == begin >> 8 >> shift) {
            atomicAdd(&found[key >> shift & 255u], 1u);
        }
    }
    __syncthreads();
    if (own == 0) {
        unsigned digit = 255;
        while (found[digit] < left) {
            left -= found[digit--];
        }
        chosen = begin | digit << shift;
    }
    __syncthreads();
}

KERNEL hardest_pick(unsigned *pick, const unsigned *keys) {
    __shared__ unsigned found[256], chosen, left;
    if (threadIdx.x == 0) {
        chosen = 0;
        left = CHOSEN;
    }
    __syncthreads();
    for (int shift = 24; shift >= 0; shift -= 8) {
        look(keys, found, chosen, left, shift, false, 0);
    }
    const unsigned least = chosen;
    __syncthreads();
    if (threadIdx.x == 0) {
        chosen = 0;
    }
    __syncthreads();
    for (int shift = 24; shift >= 0; shift -= 8) {
        look(keys, found, chosen, left, shift, true, least);
    }
    if (threadIdx.x == 0) {
        pick[0] = least;
        pick[1] = ~chosen;
    }
}
