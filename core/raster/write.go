package raster

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unsafe"

	"github.com/klauspost/compress/zlib"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/atomicfile"
)

// WriteImage writes an image of one channel as a TIFF of float32 with a page a slice,
// and its spacing to the file beside, as WriteLabels does for labels.
func WriteImage(path, beside string, im *volume.Image) error {
	if im.C != 1 {
		return fmt.Errorf("raster: %s: an image of %d channels, a stack has one: write each to a file of its own, or choose another format", path, im.C)
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(im.Data))), 4*len(im.Data)) // as TIFF has them: every machine of ours is little-endian
	return writeStack(path, beside, im.Grid, b, 4, false)
}

func writeStack(path, beside string, g volume.Grid, values []byte, width int, deflated bool) error {
	if g.Voxels() == 0 || g.Voxels()*width != len(values) {
		return fmt.Errorf("raster: %s: %d bytes of values of shape %v (D H W)", path, len(values), g.Shape)
	}
	if g.Shape[0] > maxPages || g.Shape[1] > maxSide || g.Shape[2] > maxSide {
		return fmt.Errorf("raster: %s: shape %v (D H W), a TIFF has at most %d along each side: choose another format", path, g.Shape, maxSide)
	}
	if err := writeSpacing(beside, g.Spacing); err != nil {
		return err
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		pages := make([][]byte, g.Shape[0])
		size := len(values) / len(pages)
		for i := range pages {
			pages[i] = values[i*size:][:size]
			if !deflated {
				continue
			}
			var b bytes.Buffer
			z := zlib.NewWriter(&b)
			_, _ = z.Write(pages[i]) // a buffer takes all
			_ = z.Close()
			pages[i] = b.Bytes()
		}
		return encodeStack(w, g, width, deflated, pages)
	})
}

// bigFrom is the size from which a file is a BigTIFF, whose offsets have 64 bits.
const bigFrom = 1<<32 - 1<<20

// encodeStack writes a header, a directory a page, and then the pages, a strip each.
func encodeStack(w io.Writer, g volume.Grid, width int, deflated bool, pages [][]byte) error {
	const entries = 10
	var total int64
	for _, p := range pages {
		total += int64(len(p))
	}
	head, counter, entry, word := int64(8), int64(2), int64(12), int64(4)
	if total+int64(len(pages))*(entries*entry+6) >= bigFrom {
		head, counter, entry, word = 16, 8, 20, 8
	}
	le := binary.LittleEndian
	put := func(b []byte, v, width int64) []byte { return append(b, le.AppendUint64(nil, uint64(v))[:width]...) }
	b := []byte("II*\x00\x08\x00\x00\x00")
	if word == 8 {
		b = []byte("II+\x00\x08\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00") // bytes an offset, and where the first directory is
	}
	compression, format := int64(1), int64(1)
	if deflated {
		compression = 8
	}
	if width == 4 {
		format = 3 // floats
	}
	each := counter + entries*entry + word
	at := head + each*int64(len(pages))
	for i, p := range pages {
		b = put(b, entries, counter)
		for _, e := range [entries]struct {
			tag   uint16
			value int64
		}{
			{tagWidth, int64(g.Shape[2])},
			{tagHeight, int64(g.Shape[1])},
			{tagBits, int64(8 * width)},
			{tagCompression, compression},
			{tagPhotometric, 1}, // the least value is black
			{tagStrips, at},
			{tagSamples, 1},
			{tagRows, int64(g.Shape[1])},
			{tagStripBytes, int64(len(p))},
			{tagFormat, format},
		} {
			kind := int64(3) // 16 bits
			if e.tag == tagStrips || e.tag == tagStripBytes || e.value > 1<<16-1 {
				kind = 4 // 32 bits
				if word == 8 {
					kind = 16 // 64 bits
				}
			}
			b = put(b, int64(e.tag), 2)
			b = put(b, kind, 2)
			b = put(b, 1, word)
			b = put(b, e.value, word)
		}
		next := head + each*int64(i+1)
		if i == len(pages)-1 {
			next = 0
		}
		b = put(b, next, word)
		at += int64(len(p))
	}
	for _, p := range append([][]byte{b}, pages...) {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}
