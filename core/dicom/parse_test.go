package dicom

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/gounet/gounet/core/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// encoded is a slice in a transfer syntax without compression.
func encoded(t testing.TB, uid string) []byte {
	t.Helper()
	s := syntaxes[uid]
	b := &builder{order: binary.LittleEndian, implicit: s.implicit}
	if s.bigEndian {
		b.order = binary.BigEndian
	}
	slice{first: -7}.write(b)
	body := b.Bytes()
	if s.deflated {
		var out bytes.Buffer
		w, err := flate.NewWriter(&out, 9)
		require.NoError(t, err)
		_, err = w.Write(body)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		body = out.Bytes()
	}
	return file(uid, body)
}

func TestFormsOfAFileReadTheSame(t *testing.T) {
	plain := encoded(t, uncompressed)
	meta := len(file(uncompressed, nil)) // preamble, meta header
	stale := bytes.Clone(plain)
	stale[132+8] += 13 // group length
	for name, b := range map[string][]byte{
		"explicit":            plain,
		"implicit":            encoded(t, "1.2.840.10008.1.2"),
		"big endian":          encoded(t, "1.2.840.10008.1.2.2"),
		"deflated":            encoded(t, "1.2.840.10008.1.2.1.99"),
		"no preamble":         plain[128:],
		"no DICM":             plain[132:],
		"no meta":             plain[meta:],
		"no meta, implicit":   encoded(t, "1.2.840.10008.1.2")[len(file("1.2.840.10008.1.2", nil)):],
		"no meta, big endian": encoded(t, "1.2.840.10008.1.2.2")[len(file("1.2.840.10008.1.2.2", nil)):],
		"stale group length":  stale,
		"meta says implicit":  file("1.2.840.10008.1.2", plain[meta:]),
		"padding at the end":  append(bytes.Clone(plain), make([]byte, 300)...),
		"preamble of a TIFF":  append([]byte("II*\x00"), plain[4:]...),
	} {
		for _, f := range []File{memory("x", b), stream("x", b)} {
			t.Run(fmt.Sprintf("%s, size %d", name, f.Size), func(t *testing.T) {
				c, err := OpenFiles(context.Background(), []File{f})
				require.NoError(t, err)
				v, im := only(t, c)
				assert.Equal(t, [3]int{1, 3, 4}, v.Shape)
				assert.Equal(t, []float32{-7, -6, -5}, im.Data[:3])
				assert.Equal(t, float32(4), im.Data[11])
			})
		}
	}
}

// surround is a file whose pixels come after what edit writes.
func surround(edit func(*builder)) []byte { return slice{edit: edit}.bytes() }

func TestElementsOfUndefinedLengthArePassedOver(t *testing.T) {
	for name, b := range map[string][]byte{
		"private sequence": surround(func(b *builder) {
			b.sequence(0x00211001, false, func(b *builder) {
				b.sequence(0x00211002, false, func(b *builder) { b.us(tagRows, 999) })
				b.sequence(0x00211003, true, func(b *builder) { b.us(tagRows, 999) })
			})
		}),
		"UN in implicit little endian": surround(func(b *builder) {
			b.head(0x00211001, "UN", undefinedLength)
			inner := &builder{order: binary.LittleEndian, implicit: true}
			inner.head(tagItem, "", undefinedLength).us(tagRows, 999).head(tagItemEnd, "", 0).head(tagSequenceEnd, "", 0)
			b.Write(inner.Bytes())
		}),
		"a stray delimiter": surround(func(b *builder) { b.head(tagSequenceEnd, "", 0) }),
		"an empty sequence": surround(func(b *builder) { b.sequence(0x00211001, false).sequence(0x00211002, true) }),
		"no VR":             surround(func(b *builder) { b.put([]uint16{0x21, 0x1001, 4, 0, 1, 2}) }),
		"a VR of tomorrow":  surround(func(b *builder) { b.head(0x00211001, "ZZ", 4).put(uint32(5)) }),
		"an icon": surround(func(b *builder) {
			b.sequence(0x00280200, false, func(b *builder) { b.us(tagRows, 1).head(tagPixels, "OW", 2).put(uint16(7)) })
		}),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := OpenFiles(context.Background(), []File{memory("x", b)})
			require.NoError(t, err)
			_, im := only(t, c)
			assert.Equal(t, float32(11), im.Data[11])
		})
	}
}

func TestBrokenFilesAreRefusedWithTagAndOffset(t *testing.T) {
	deep := func(n int) []byte {
		return surround(func(b *builder) {
			for range n {
				b.head(tagSharedGroups, "SQ", undefinedLength).head(tagItem, "", undefinedLength)
			}
		})
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"too long":     {surround(func(b *builder) { b.head(0x00211001, "OB", 0xfffffff0) }), "element (0021,1001) at byte 380: 4294967280 bytes are declared"},
		"too deep":     {deep(100), "sequences nest deeper than 32"},
		"much deeper":  {deep(100000), "sequences nest deeper than 32"},
		"no item":      {surround(func(b *builder) { b.head(tagSharedGroups, "SQ", undefinedLength).us(tagRows, 3) }), "an item of a sequence was expected"},
		"large value":  {surround(func(b *builder) { b.head(tagImageType, "UT", 5<<20).Write(make([]byte, 5<<20)) }), "at most 4194304 are read"},
		"no rows":      {surround(func(b *builder) { b.us(tagRows, 0) }), "(0028,0010) rows"},
		"many frames":  {surround(func(b *builder) { b.text(tagFrames, "IS", 1<<30) }), "at most 131072"},
		"fewer pixels": {surround(func(b *builder) { b.text(tagFrames, "IS", 50) }), "50 frames of 4×3 need 1200"},
		"MPEG":         {file("1.2.840.10008.1.2.4.102", nil), "transfer syntax MPEG-4 is not read"},
		"new syntax":   {file("1.2.3.4", encoded(t, uncompressed)[len(file(uncompressed, nil)):]), `transfer syntax 1.2.3.4 is unknown`},
		"compressed":   {file("1.2.840.10008.1.2.5", encoded(t, uncompressed)[len(file(uncompressed, nil)):]), "is not in fragments, which transfer syntax RLE needs"},
		"slanted":      {slice{orientation: []any{1, 0, 0, 0.5, 1, 0}}.bytes(), "not two directions at right angles"},
		"no number":    {slice{spacing: []any{"NaN", 1}}.bytes(), "element (0028,0030) is missing"},
		"negative":     {slice{spacing: []any{-1, 1}}.bytes(), "spacing -1 × 1 mm"},
	} {
		t.Run(name, func(t *testing.T) {
			col, err := OpenFiles(context.Background(), []File{memory("x", c.file)})
			if err == nil {
				err = col.Series[0].Volumes[0].Err
			}
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "Secret")
		})
	}
}

func TestNothingButDICOMIsADICOMFile(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("x"), []byte("hello, this is a text of no interest to anybody"), make([]byte, 1000), bytes.Repeat([]byte{0xff}, 1000)} {
		_, err := OpenFiles(context.Background(), []File{memory("x", b)})
		require.ErrorIs(t, err, ErrNotDICOM)
	}
}

func TestBitsAboveThoseStoredAreDropped(t *testing.T) {
	b := []byte{0xff, 0xf7, 0x01, 0x18, 0x00, 0x0f}
	var fr frame
	f := pixelFormat{rows: 1, columns: 3, samples: 1, frames: 1, allocated: 16, stored: 12, high: 11, order: binary.LittleEndian}
	require.NoError(t, f.unpack(&fr, b))
	assert.Equal(t, []int32{0x7ff, 0x801, 0xf00}, fr.ints)
	f.signed = true
	require.NoError(t, f.unpack(&fr, b))
	assert.Equal(t, []int32{2047, -2047, -256}, fr.ints)
	f.high = 15 // left in the word
	require.NoError(t, f.unpack(&fr, b))
	assert.Equal(t, []int32{-129, 384, 240}, fr.ints)
}

func TestWideNumbersKeepTheirSign(t *testing.T) {
	for signed, want := range map[uint16]float32{0: math.MaxUint32, 1: -1} {
		b := explicitLE()
		b.text(tagSeries, "UI", "1").us(tagRows, 1).us(tagColumns, 1).us(tagBitsAllocated, 32).us(tagSigned, signed)
		b.head(tagPixels, "OW", 4).put(uint32(math.MaxUint32))
		c, err := OpenFiles(context.Background(), []File{memory("x", file(uncompressed, b.Bytes()))})
		require.NoError(t, err)
		_, im := only(t, c)
		assert.Equal(t, want, im.Data[0])
	}
}

func TestFloatsAreRead(t *testing.T) {
	b := explicitLE()
	b.text(tagSeries, "UI", "1").us(tagRows, 1).us(tagColumns, 2)
	b.head(tagFloatPixels, "OF", 8).put([]float32{1.5, -2.25})
	c, err := OpenFiles(context.Background(), []File{memory("x", file(uncompressed, b.Bytes()))})
	require.NoError(t, err)
	_, im := only(t, c)
	assert.Equal(t, []float32{1.5, -2.25}, im.Data)
}

// zipOf is a zip of files by name.
func zipOf(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, b := range files {
		f, err := w.Create(name)
		require.NoError(t, err)
		_, err = f.Write(b)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestFoldersZipsAndFilesHoldTheSameSeries(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	inZip := map[string][]byte{"readme.txt": []byte("x"), "DICOMDIR": []byte("y")}
	for i, s := range stack(4, nil) {
		p := filepath.Join(dir, "scan", fmt.Sprint(i%2), fmt.Sprint(i))
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o700))
		require.NoError(t, os.WriteFile(p, s.bytes(), 0o600))
		paths = append(paths, p)
		inZip[fmt.Sprint("a/b/", i)] = s.bytes()
	}
	archive := filepath.Join(dir, "scan.bin")
	require.NoError(t, os.WriteFile(archive, zipOf(t, inZip), 0o600))
	var all []*volume.Image
	for _, in := range [][]string{{filepath.Join(dir, "scan")}, {archive}, paths, {archive, filepath.Join(dir, "scan")}} {
		_, im := openSeries(t, in...)
		all = append(all, im)
	}
	for _, im := range all {
		assert.Equal(t, all[0], im)
	}
	_, err := Open(context.Background(), filepath.Join(dir, "none"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

func TestZipsThatAreTrapsAreRefused(t *testing.T) {
	for _, name := range []string{"../x", "/etc/x", `..\x`, "a/../../x"} {
		b := zipOf(t, map[string][]byte{name: slice{}.bytes()})
		_, err := ZipFiles(bytes.NewReader(b), int64(len(b)))
		require.ErrorContains(t, err, "leaves the folder", name)
	}
	// A header that declares 2^40 bytes for a small entry.
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	_, err := w.CreateRaw(&zip.FileHeader{Name: "bomb", Method: zip.Deflate, UncompressedSize64: 1 << 40, CompressedSize64: 0})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = ZipFiles(bytes.NewReader(out.Bytes()), int64(out.Len()))
	assert.ErrorContains(t, err, "inflate to more than 100 times")
}
