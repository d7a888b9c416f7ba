package dicom

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tiny is a JPEG 2000 code stream of the size that has no packets.
func tiny(width, height uint32) []byte {
	b := &builder{order: binary.BigEndian}
	b.put([]uint16{0xff4f, 0xff51, 41, 0})
	b.put([]uint32{width, height, 0, 0, width, height, 0, 0})
	b.put(uint16(1))
	b.Write([]byte{15, 1, 1})
	b.put([]uint16{0xff52, 12})
	b.Write([]byte{0, 0, 0, 1, 0, 5, 4, 4, 0, 1})
	b.put([]uint16{0xff5c, 19})
	b.Write(append([]byte{0x40}, bytes.Repeat([]byte{16 << 3}, 16)...))
	b.put([]uint16{0xff90, 10, 0})
	b.put(uint32(0))
	b.Write([]byte{0, 1})
	b.put([]uint16{0xff93, 0xffd9})
	return b.Bytes()
}

// compressed is a slice whose pixels are one fragment.
func compressed(uid string, rows, columns uint16, fragment []byte) []byte {
	b := explicitLE()
	slice{rows: rows, columns: columns, pixels: func(b *builder) {
		b.head(tagPixels, "OB", undefinedLength).head(tagItem, "", 0).head(tagItem, "", uint32(len(fragment)))
		b.Write(fragment)
		b.head(tagSequenceEnd, "", 0)
	}}.write(b)
	return file(uid, b.Bytes())
}

func TestHostileFilesTakeLittleMemory(t *testing.T) {
	zeros := func() []byte { // 1 GiB in a private element
		var out bytes.Buffer
		w, err := flate.NewWriter(&out, 9)
		require.NoError(t, err)
		b := explicitLE()
		b.text(tagImageType, "CS", "ORIGINAL").head(0x00211001, "OB", 1<<30)
		_, err = w.Write(b.Bytes())
		require.NoError(t, err)
		chunk := make([]byte, 1<<20)
		for range 256 {
			_, err = w.Write(chunk)
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		return out.Bytes()
	}
	const j2k = "1.2.840.10008.1.2.4.90"
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"native, large":      {surround(func(b *builder) { b.us(tagRows, 65535).us(tagColumns, 65535) }), "are 65535 × 65535"},
		"native, many":       {surround(func(b *builder) { b.text(tagFrames, "IS", 131072) }), "131072 frames of 4×3 need"},
		"JPEG 2000, large":   {compressed(j2k, 16000, 16000, tiny(16000, 16000)), "16000×16000 pixels out of"},
		"JPEG 2000, differs": {compressed(j2k, 4, 4, tiny(1<<20, 1<<20)), "samples are declared, at most 16 were expected"},
		"deflated zeros":     {file("1.2.840.10008.1.2.1.99", zeros()), "1073741824 bytes are declared"},
		"a long fragment":    {compressed(j2k, 4, 4, make([]byte, 3<<20)), "a compressed frame of more than"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			col, err := OpenFiles(context.Background(), []File{memory("x", c.file)})
			if err == nil {
				_, err = col.Series[0].Image(context.Background())
			}
			runtime.ReadMemStats(&after)
			require.ErrorContains(t, err, c.want)
			volume := uint64(0) // which the caller asked for, knowing Bytes
			if col != nil {
				volume = uint64(col.Series[0].Volumes[0].Bytes())
			}
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, volume+4*uint64(len(c.file))+64<<20)
		})
	}
}

func TestTruncatedFilesAreNeverReadAsWhole(t *testing.T) {
	for _, whole := range syntaxSeeds(t) {
		c, err := OpenFiles(context.Background(), []File{memory("x", whole)})
		require.NoError(t, err)
		want, err := c.Series[0].Image(context.Background())
		require.NoError(t, err)
		for n := range len(whole) {
			for _, f := range []File{memory("x", whole[:n]), stream("x", whole[:n])} {
				c, err := OpenFiles(context.Background(), []File{f})
				if err != nil {
					continue
				}
				if im, err := c.Series[0].Image(context.Background()); err == nil {
					require.Equal(t, want, im, "%d of %d bytes", n, len(whole)) // only a delimiter was cut
				}
			}
		}
	}
}
