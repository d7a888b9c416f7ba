// block_row: the output of kernels whose blocks are voxels of a row. Of the kernel it
// takes OW, LONG, and store, which stores four channels of a voxel if it is there.

// The block at voxel i of y, which is ow in its row, and channel co.
fn store_block(i: u32, ow: u32, co: u32, s: Block) {
    store(i, co, s.v0, true);
    store(i + 1u, co, s.v1, ow + 1u < OW);
    store(i + 2u, co, s.v2, ow + 2u < OW);
    store(i + 3u, co, s.v3, ow + 3u < OW);
    if LONG {
        store(i + 4u, co, s.v4, ow + 4u < OW);
        store(i + 5u, co, s.v5, ow + 5u < OW);
        store(i + 6u, co, s.v6, ow + 6u < OW);
        store(i + 7u, co, s.v7, ow + 7u < OW);
    }
}
