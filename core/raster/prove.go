package raster

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
)

// provePNG inflates the IDAT chunks of a PNG to nothing and says whether they hold
// as many bytes as its pixels need.
func provePNG(r io.Reader, need int64) error {
	if _, err := io.CopyN(io.Discard, r, 8); err != nil { // the magic
		return err
	}
	z, err := zlib.NewReader(&idat{r: r})
	if err != nil {
		return fmt.Errorf("chunk IDAT: %w", err)
	}
	got, err := io.CopyN(io.Discard, z, need)
	if err != nil {
		return fmt.Errorf("chunk IDAT holds %d of %d bytes: the file is truncated, fetch it again: %w", got, need, err)
	}
	return nil
}

// idat reads the content of the IDAT chunks of a PNG.
type idat struct {
	r    io.Reader
	left int64 // of the chunk
}

func (d *idat) Read(b []byte) (int, error) {
	for d.left == 0 {
		var head [8]byte // length, kind
		if _, err := io.ReadFull(d.r, head[:]); err != nil {
			return 0, err
		}
		n := int64(binary.BigEndian.Uint32(head[:]))
		if string(head[4:]) == "IDAT" {
			d.left = n
		} else if _, err := io.CopyN(io.Discard, d.r, n+4); err != nil { // and its checksum
			return 0, err
		}
		if string(head[4:]) == "IEND" {
			return 0, io.EOF
		}
		if d.left == 0 && string(head[4:]) == "IDAT" {
			if _, err := io.CopyN(io.Discard, d.r, 4); err != nil {
				return 0, err
			}
		}
	}
	n, err := d.r.Read(b[:min(int64(len(b)), d.left)])
	d.left -= int64(n)
	if d.left == 0 && err == nil {
		_, err = io.CopyN(io.Discard, d.r, 4) // checksum
	}
	return n, err
}
