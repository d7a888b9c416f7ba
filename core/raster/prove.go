package raster

import (
	"encoding/binary"
	"errors"
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

// checkPages refuses a TIFF with more than one directory, of which a decoder would
// read the first and say nothing of the others, and those whose values are not
// whole numbers.
func checkPages(r io.Reader) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[0] == 'M' {
		order = binary.BigEndian
	}
	at := int64(order.Uint32(head[4:]))
	if at < 8 {
		return fmt.Errorf("byte 4: the directory is at byte %d: the file is damaged", at)
	}
	if _, err := io.CopyN(io.Discard, r, at-8); err != nil {
		return fmt.Errorf("byte 4: the directory is at byte %d, behind the end of the file: %w", at, err)
	}
	var count [2]byte
	if _, err := io.ReadFull(r, count[:]); err != nil {
		return fmt.Errorf("byte %d: the directory: %w", at, err)
	}
	n := int64(order.Uint16(count[:]))
	directory := make([]byte, 12*n+4)
	if _, err := io.ReadFull(r, directory); err != nil {
		return fmt.Errorf("byte %d: a directory of %d entries: %w", at, n, err)
	}
	for e := directory[:12*n]; len(e) > 0; e = e[12:] {
		const sampleFormat = 339
		if order.Uint16(e) == sampleFormat && order.Uint32(e[4:]) == 1 && order.Uint16(e[8:]) != 1 {
			return errors.New("tag 339: values that are signed or floats are not read: convert it to NIfTI, or to unsigned")
		}
	}
	if order.Uint32(directory[12*n:]) != 0 {
		return fmt.Errorf("byte %d: a second page, a picture has one: convert stacks to NIfTI", at+2+12*n)
	}
	return nil
}
