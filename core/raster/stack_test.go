package raster

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

func TestStacksHaveTheValuesOfTifffile(t *testing.T) {
	b, err := os.ReadFile("testdata/stacks/expected.json")
	require.NoError(t, err)
	var e map[string]struct {
		Shape  []int
		Type   string
		SHA256 string
	}
	require.NoError(t, json.Unmarshal(b, &e))
	require.Len(t, e, 23)
	for name, want := range e {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata/stacks", name)
			h, err := openFile(t, path)
			require.NoError(t, err)
			im, err := h.Image()
			require.NoError(t, err)
			if len(want.Shape) == 2 {
				want.Shape = append([]int{1}, want.Shape...)
			}
			assert.Equal(t, want.Shape, im.Shape[:])
			if want.Type == "bool" {
				want.Type = "uint8"
			}
			assert.Equal(t, want.Type, h.Type)
			values := sha256.New()
			require.NoError(t, binary.Write(values, binary.LittleEndian, im.Data))
			assert.Equal(t, want.SHA256, hex.EncodeToString(values.Sum(nil)))

			// The same of a file that can only be read from its beginning.
			whole, err := os.ReadFile(path)
			require.NoError(t, err)
			h, err = Open(voxel.InMemory(name, whole))
			require.NoError(t, err)
			again, err := h.Image()
			require.NoError(t, err)
			assert.Equal(t, im.Data, again.Data)
		})
	}
}

func TestStacksOfOtherAxesAreRefused(t *testing.T) {
	for name, want := range map[string]string{
		"bad_channels.tif":     "a stack of 2 channels, 4 slices",
		"bad_ome_channels.tif": "a stack of 2 channels, 4 slices",
		"bad_four_axes.tif":    "an array of shape [2 4 20 37]",
		"bad_colours.tif":      "4 pages of 3 values a pixel",
		"bad_planar.tif":       "planes apart",
		"bad_volumetric.tif":   "tiles of several slices",
		"bad_half.tif":         "values of 16 bits and sample format 3",
		"bad_zstd.tif":         "compression 50000 is not read",
		"bad_pages.tif":        "page 1 is 19 × 10 pixels",
	} {
		_, err := openFile(t, filepath.Join("testdata/stacks", name))
		require.ErrorContains(t, err, want, name)
		assert.ErrorContains(t, err, "raster: ", name)
	}
}

func TestStacksSurviveWritingAndReading(t *testing.T) {
	g := volume.Grid{Shape: [3]int{3, 4, 5}, Spacing: [3]float64{2.5, 0.7, 1.25}}
	dir := t.TempDir()
	l, im := volume.NewLabels(g), volume.NewImage(g, 1)
	for i := range l.Data {
		l.Data[i], im.Data[i] = uint8(i%7), float32(math.Sqrt(float64(i)))-3
	}
	path := filepath.Join(dir, "a.tif")
	require.NoError(t, WriteLabels(path, l))
	h, err := openFile(t, path)
	require.NoError(t, err)
	got, err := h.Labels()
	require.NoError(t, err)
	assert.Equal(t, l.Data, got.Data)
	f, err := voxel.OnDisk(filepath.Join(dir, "a.json"))
	require.NoError(t, err)
	s, err := ReadSpacing(f)
	require.NoError(t, err)
	assert.Equal(t, g.Spacing, s)

	require.NoError(t, WriteImage(filepath.Join(dir, "b.tiff"), filepath.Join(dir, "b.json"), im))
	h, err = openFile(t, filepath.Join(dir, "b.tiff"))
	require.NoError(t, err)
	again, err := h.Image()
	require.NoError(t, err)
	assert.Equal(t, im.Data, again.Data)
	assert.ErrorContains(t, WriteImage(path, "", volume.NewImage(g, 2)), "a stack has one")

	flat := volume.NewLabels(volume.Grid{Shape: [3]int{1, 2, 2}, Spacing: [3]float64{999, 1, 1}})
	require.NoError(t, WriteLabels(filepath.Join(dir, "c.tif"), flat))
	assert.NoFileExists(t, filepath.Join(dir, "c.json"), "a picture has no spacing")
}

// TestLargeStacksAreBigTIFF lays out pages that are never written: 5 GB.
func TestLargeStacksAreBigTIFF(t *testing.T) {
	g := volume.Grid{Shape: [3]int{80, 1 << 13, 1 << 13}}
	pages := make([][]byte, 80)
	one := make([]byte, 1<<26)
	for i := range pages {
		pages[i] = one
	}
	w := &front{}
	require.NoError(t, encodeStack(w, g, 1, false, pages))
	_, read, _, err := readPages(bytes.NewReader(w.b), w.n)
	require.NoError(t, err)
	require.Len(t, read, 80)
	for i, p := range read {
		assert.Equal(t, int64(1<<26), p.bytes[0])
		assert.Equal(t, w.n-int64(80-i)<<26, p.offset[0])
		assert.Equal(t, int64(1<<13), p.height)
	}
}

// front keeps the first bytes that are written, and counts them all.
type front struct {
	b []byte
	n int64
}

func (f *front) Write(b []byte) (int, error) {
	if len(f.b) == 0 {
		f.b = bytes.Clone(b)
	}
	f.n += int64(len(b))
	return len(b), nil
}

func TestSpacingFilesThatSayNoneAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		`{"spacing": [1, 2]}`:      "has 2 numbers",
		`{"spacing": [1, 2, 0]}`:   "wanted positive numbers",
		`{"spacing": [1, -2, 3]}`:  "wanted positive numbers",
		`{"spacing": "1"}`:         "a.json",
		`{"spacing": [1, 2, 1e9`:   "a.json",
		`{"shapes": []}`:           "has 0 numbers",
		`{"spacing": [1,2,1e999]}`: "a.json",
	} {
		_, err := ReadSpacing(voxel.InMemory("a.json", []byte(text)))
		require.ErrorIs(t, err, ErrNoSpacing, text)
		assert.ErrorContains(t, err, want)
	}
	s, err := ReadSpacing(voxel.InMemory("a.json", []byte(`{"spacing": [3, 2, 1.5], "x": {}}`)))
	require.NoError(t, err)
	assert.Equal(t, [3]float64{3, 2, 1.5}, s)
}

// damaged is the file at path with change done to it.
func damaged(t *testing.T, path string, change func(b []byte) []byte) error {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata/stacks", path))
	require.NoError(t, err)
	h, err := Open(voxel.InMemory("a.tif", change(b)))
	if err == nil {
		_, err = h.Image()
	}
	return err
}

// entryOf is the place of a tag in the first directory of a little-endian TIFF.
func entryOf(t *testing.T, b []byte, tag uint16) []byte {
	t.Helper()
	at := binary.LittleEndian.Uint32(b[4:])
	n := int(binary.LittleEndian.Uint16(b[at:]))
	for i := range n {
		if e := b[int(at)+2+12*i:]; binary.LittleEndian.Uint16(e) == tag {
			return e[:12]
		}
	}
	require.Fail(t, "no such tag")
	return nil
}

func TestDamagedStacksAreNamed(t *testing.T) {
	le := binary.LittleEndian
	set := func(tag uint16, v uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			e := entryOf(t, b, tag)
			le.PutUint16(e[2:], 4)
			le.PutUint32(e[8:], v)
			return b
		}
	}
	for _, c := range []struct {
		name, file, want string
		change           func([]byte) []byte
	}{
		{"cut in the values", "f32.tif", "truncated", func(b []byte) []byte { return b[:len(b)-100] }},
		{"cut in the first directory", "u8.tif", "damaged", func(b []byte) []byte { return b[:20] }},
		{"cut in the header", "u8.tif", "unexpected EOF", func(b []byte) []byte { return b[:6] }},
		{"directories in a circle", "u8.tif", "", func(b []byte) []byte {
			at := le.Uint32(b[4:])
			end := int(at) + 2 + 12*int(le.Uint16(b[at:]))
			le.PutUint32(b[end:], at)
			return b
		}},
		{"no directory", "u8.tif", "no directory", func(b []byte) []byte { le.PutUint32(b[4:], 0); return b }},
		{"a wide page", "u8.tif", "pixels in pieces of", set(tagWidth, 1<<30)},
		{"wider than its values", "one_float.tif", "hold at most", set(tagWidth, 60000)},
		{"no pixels", "u8.tif", "pixels in pieces of", set(tagWidth, 0)},
		{"more strips than there are bytes", "u16_zlib.tif", "damaged", func(b []byte) []byte {
			le.PutUint32(entryOf(t, b, tagStrips)[4:], 1<<31-1)
			return b
		}},
		{"a strip behind the end", "one_float.tif", "truncated", set(tagStrips, 1<<31)},
		{"an empty strip", "one_float.tif", "truncated", set(tagStripBytes, 0)},
		{"zlib's header", "u16_zlib.tif", "strip or tile 0", func(b []byte) []byte {
			copy(b[le.Uint32(b[le.Uint32(entryOf(t, b, tagStrips)[8:]):]):], "\x00\x00")
			return b
		}},
		{"zlib's checksum", "u16_zlib.tif", "strip or tile 0: zlib: invalid checksum", func(b []byte) []byte {
			at := le.Uint32(b[le.Uint32(entryOf(t, b, tagStrips)[8:]):]) + uint32(le.Uint16(b[le.Uint32(entryOf(t, b, tagStripBytes)[8:]):]))
			b[at-1]++
			return b
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := damaged(t, c.file, c.change)
			require.Error(t, err)
			assert.ErrorContains(t, err, "raster: a.tif: ")
			assert.ErrorContains(t, err, c.want)
		})
	}
}

// TestABombTakesNoMemory has 8 pages of 2048 × 2048 zeros, 128 MiB as float32, of which the
// last page is damaged.
func TestABombTakesNoMemory(t *testing.T) {
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, err := w.Write(make([]byte, 1<<22))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	pages := make([][]byte, 8)
	for i := range pages {
		pages[i] = z.Bytes()
	}
	pages[7] = bytes.Clone(z.Bytes())
	pages[7][z.Len()-1]++
	var b bytes.Buffer
	require.NoError(t, encodeStack(&b, volume.Grid{Shape: [3]int{8, 2048, 2048}}, 1, true, pages))
	h, err := Open(voxel.InMemory("a.tif", b.Bytes()))
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = h.Image()
	runtime.ReadMemStats(&after)
	require.ErrorContains(t, err, "page 7")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))

	// Pages that share their strip would have any number of values.
	for i := range pages {
		pages[i] = z.Bytes()
	}
	b.Reset()
	require.NoError(t, encodeStack(&b, volume.Grid{Shape: [3]int{8, 2048, 2048}}, 1, true, pages))
	file := b.Bytes()
	first := binary.LittleEndian.Uint32(entryOf(t, file, tagStrips)[8:])
	for i := range 8 {
		strip := file[8+i*(2+10*12+4)+2+5*12:]
		require.Equal(t, uint16(tagStrips), binary.LittleEndian.Uint16(strip))
		binary.LittleEndian.PutUint32(strip[8:], first)
	}
	_, err = Open(voxel.InMemory("a.tif", file[:int(first)+2*z.Len()]))
	require.ErrorContains(t, err, "over those of others")
}
