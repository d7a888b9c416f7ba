// HardestPick: the least of the COUNT largest keys, and the last place of a key equal to it that counts
//
//   keys [V]   pick [2]: key, place
//
// One workgroup looks at eight bits of all keys at a time, then at those of the
// places of keys that are equal to the least, largest first. Dispatch: 1.
//
// Prelude: V, COUNT (u32).

@group(0) @binding(0) var<storage, read_write> pick: array<u32>;
@group(0) @binding(1) var<storage, read_write> keys: array<u32>;

var<workgroup> found: array<atomic<u32>, 256>;
var<workgroup> chosen: u32; // bits of the key, then of the place, turned around
var<workgroup> left: u32;   // how many are to be found among those that begin with chosen

// One round: finds the eight bits above shift of what least begins with. Places are
// turned around, so that the first are the largest.
fn look(own: u32, shift: u32, least: u32, places: bool) {
    atomicStore(&found[own], 0u);
    workgroupBarrier();
    let begin = chosen;
    for (var i = own; i < V; i += 256u) {
        var key = keys[i];
        if places {
            if key != least {
                continue;
            }
            key = 0xffffffffu - i;
        }
        if (key >> 8u) >> shift == (begin >> 8u) >> shift {
            atomicAdd(&found[(key >> shift) & 255u], 1u);
        }
    }
    workgroupBarrier();
    if own == 0u {
        var digit = 255u;
        while atomicLoad(&found[digit]) < left {
            left -= atomicLoad(&found[digit]);
            digit--;
        }
        chosen = begin | (digit << shift);
    }
    workgroupBarrier();
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) own: u32) {
    if own == 0u {
        chosen = 0u;
        left = COUNT;
    }
    workgroupBarrier();
    for (var shift = 32u; shift > 0u; shift -= 8u) {
        look(own, shift - 8u, 0u, false);
    }
    let least = chosen;
    workgroupBarrier();
    if own == 0u {
        chosen = 0u;
    }
    workgroupBarrier();
    for (var shift = 32u; shift > 0u; shift -= 8u) {
        look(own, shift - 8u, least, true);
    }
    if own == 0u {
        pick[0] = least;
        pick[1] = 0xffffffffu - chosen;
    }
}
