package voxel

import (
	"io"

	"github.com/klauspost/pgzip"
)

// Bytes that are compressed at a time, and the fewest that should be.
const wholeBlock, smallBlock = 1 << 20, 1 << 16

// NewGzip compresses a file of about so many bytes to w, on all processors where it is
// large. A small one has small buffers: the others are megabytes, which stay until the
// memory was collected twice. Close it also after a failure: it ends goroutines.
func NewGzip(w io.Writer, bytes int) io.WriteCloser {
	z := pgzip.NewWriter(w)
	if bytes < wholeBlock {
		_ = z.SetConcurrency(max(bytes, smallBlock), 1) // fails for blocks of less than 16 KiB
	}
	return z
}
