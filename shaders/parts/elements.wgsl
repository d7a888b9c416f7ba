// elements: the whole of a kernel that makes y [COUNT] element by element, one invocation a
// word. Of the kernel it takes element, which makes element i, and y; T_HALF, COUNT, WORDS
// and GRID.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let i = id.x + (first_row + id.y) * GRID;
    if i >= WORDS {
        return;
    }
    if T_HALF {
        y[i] = halves(element(2u * i), element(min(2u * i + 1u, COUNT - 1u)));
    } else {
        y[i] = bitcast<u32>(element(i));
    }
}
