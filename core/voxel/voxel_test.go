package voxel

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/volume"
)

func grid(d, h, w int) volume.Grid {
	return volume.Grid{Shape: [3]int{d, h, w}, Spacing: [3]float64{1, 1, 1}, Affine: [4][4]float64{{1}, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}}}
}

func TestNamesThatLeaveTheFolderAreRefused(t *testing.T) {
	f := InMemory("a", nil)
	f.Folder = func(string) (File, error) { t.Fatal("was asked"); return File{}, nil }
	for _, name := range []string{"", ".", "..", "../x", "a/../../x", "/etc/passwd", `..\x`, `a\b`, `C:\x`, "c:x", "a//b", "./x", "x/", "\x00", "\\\\server\\share"} {
		if name == "\x00" {
			continue // a name that no system has; it is not found
		}
		_, err := f.Beside(name)
		assert.Error(t, err, "%q", name)
	}
	asked := ""
	f.Folder = func(name string) (File, error) { asked = name; return File{}, nil }
	_, err := f.Beside("sub/x.raw")
	require.NoError(t, err)
	assert.Equal(t, "sub/x.raw", asked)
}

func TestLinksOutOfTheFolderAreRefused(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	require.NoError(t, os.Mkdir(in, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("1"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(in, "header"), []byte("1"), 0o600))
	require.NoError(t, os.Symlink("../secret", filepath.Join(in, "link")))
	require.NoError(t, os.Symlink("..", filepath.Join(in, "up")))
	require.NoError(t, os.Symlink("header", filepath.Join(in, "inner")))
	f, err := OnDisk(filepath.Join(in, "header"))
	require.NoError(t, err)
	for _, name := range []string{"link", "up/secret"} {
		_, err = f.Beside(name)
		assert.Error(t, err, name)
	}
	_, err = f.Beside("inner")
	require.NoError(t, err)
	_, err = f.Beside("up")
	assert.Error(t, err)
	require.NoError(t, os.Symlink(filepath.Join(in, "header"), filepath.Join(dir, "given")))
	_, err = OnDisk(filepath.Join(dir, "given")) // what a user names is followed
	require.NoError(t, err)
}

func TestFoldersAreNotOpened(t *testing.T) {
	_, err := InFS(fstest.MapFS{"d": {Mode: fs.ModeDir}}, "d")
	assert.ErrorContains(t, err, "not a regular file")
	_, err = OnDisk(t.TempDir())
	assert.ErrorContains(t, err, "not a regular file")
}

func TestEndings(t *testing.T) {
	for name, want := range map[string]string{
		"a.nii.gz": ".nii.gz", "A.SEG.NRRD": ".seg.nrrd", "a.b.nrrd": ".nrrd", "a": "", "d.x/a.mha": ".mha", "v1.2.mha": ".mha", "a.gz": ".gz",
	} {
		assert.Equal(t, want, Ending(name), name)
	}
}

func TestProductsThatOverflowAreRefused(t *testing.T) {
	for _, axes := range [][]int64{{math.MaxInt64, math.MaxInt64}, {1 << 32, 1 << 32, 1}, {1 << 20, 1 << 20}, {0}, {-1, -1}, {3, math.MinInt64}} {
		_, err := Product(axes...)
		assert.Error(t, err, "%v", axes)
	}
	n, err := Product(512, 512, 500, 2)
	require.NoError(t, err)
	assert.EqualValues(t, 512*512*500*2, n)
}

// TestValuesOfAllTypesInBothOrders reads what encoding/binary writes.
func TestValuesOfAllTypesInBothOrders(t *testing.T) {
	for typ, v := range map[Type]any{
		Uint8: []uint8{0, 200}, Int8: []int8{-128, 5}, Uint16: []uint16{1, 65535}, Int16: []int16{-32768, 7},
		Uint32: []uint32{1, math.MaxUint32}, Int32: []int32{math.MinInt32, 3}, Uint64: []uint64{1, 1 << 63}, Int64: []int64{math.MinInt64, 9},
		Float32: []float32{-1.5, float32(math.Inf(1))}, Float64: []float64{math.Pi, -1e300},
	} {
		for _, big := range []bool{false, true} {
			var order binary.AppendByteOrder = binary.LittleEndian
			if big {
				order = binary.BigEndian
			}
			b, err := binary.Append(nil, order.(binary.ByteOrder), v)
			require.NoError(t, err)
			require.Len(t, b, 2*typ.Bytes())
			d := Data{Of: "x", Grid: grid(1, 1, 2), Lead: 1, Trail: 1, Type: typ, BigEndian: big, Parts: []Part{{File: InMemory("x", b)}}}
			var got []float64
			require.NoError(t, d.Values(func(_ int, v []float64) error { got = append(got, v...); return nil }))
			for i, x := range got {
				assert.Equal(t, asFloat(v, i), x, typ.String())
			}
		}
	}
	assert.Equal(t, 0, Type(99).Bytes())
	assert.Equal(t, "type 99", Type(99).String())
}

func asFloat(list any, i int) float64 {
	switch v := list.(type) {
	case []uint8:
		return float64(v[i])
	case []int8:
		return float64(v[i])
	case []uint16:
		return float64(v[i])
	case []int16:
		return float64(v[i])
	case []uint32:
		return float64(v[i])
	case []int32:
		return float64(v[i])
	case []uint64:
		return float64(v[i])
	case []int64:
		return float64(v[i])
	case []float32:
		return float64(v[i])
	}
	return list.([]float64)[i]
}

// TestChannelsBeforeAndBehindSpace places value (lead, voxel, trail), which is its own
// number in the file.
func TestChannelsBeforeAndBehindSpace(t *testing.T) {
	const lead, trail = 3, 2
	g := grid(2, 3, 4)
	b := make([]byte, lead*24*trail)
	for i := range b {
		b[i] = byte(i)
	}
	d := Data{Of: "x", Grid: g, Lead: lead, Trail: trail, Type: Uint8, Parts: []Part{{File: InMemory("x", b[:72])}, {File: InMemory("y", b[72:])}}}
	im, err := d.Image()
	require.NoError(t, err)
	assert.Equal(t, 6, im.C)
	for v := range 24 {
		for l := range lead {
			for tr := range trail {
				assert.Equal(t, float32((tr*24+v)*lead+l), im.Data[v*6+tr*lead+l])
			}
		}
	}
}

func TestTextIsReadWhateverIsBetween(t *testing.T) {
	d := Data{Of: "x", Grid: grid(1, 2, 2), Lead: 1, Trail: 1, Type: Int16, Parts: []Part{{File: InMemory("x", []byte("\r\n 1,2\t\n-3.5e1\v  4 ")), Encoding: Text}}}
	im, err := d.Image()
	require.NoError(t, err)
	assert.Equal(t, []float32{1, 2, -35, 4}, im.Data)
	d.Parts[0].File = InMemory("x", []byte("1 2 3 four"))
	_, err = d.Image()
	assert.ErrorContains(t, err, `x: number 3 of 4 is "four"`)
	d.Parts[0].File = InMemory("x", []byte("1 2 3     "))
	_, err = d.Image()
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	d.Parts[0].File = InMemory("x", bytes.Repeat([]byte("1"), 1<<20))
	_, err = d.Image()
	assert.ErrorContains(t, err, "token too long")
}

func TestValuesThatDoNotFitAreNamed(t *testing.T) {
	d := Data{Of: "pkg: f", Grid: grid(1, 2, 2), Lead: 1, Trail: 1, Type: Float64, Parts: []Part{{File: InMemory("f", []byte("1 2 3 1e300")), Encoding: Text}}}
	_, err := d.Image()
	assert.EqualError(t, err, "pkg: f: value 1e+300 at voxel (x 1, y 1, z 0) is too large for float32: rescale the image")
	for text, ok := range map[string]bool{"0 1 2 254": true, "0 1 2 255": false, "0 1 2 -1": false, "0 1 2 0.5": false, "0 1 2 nan": false} {
		d.Parts[0].File = InMemory("x", []byte(text))
		_, err := d.Labels()
		assert.Equal(t, ok, err == nil, text)
	}
	d.Slope, d.Inter = 2, -2
	d.Parts[0].File = InMemory("x", []byte("1 1.5 2 128"))
	l, err := d.Labels()
	require.NoError(t, err)
	assert.Equal(t, []uint8{0, 1, 2, 254}, l.Data)
}

func TestGridsWithoutAPlaceOrASizeAreRefused(t *testing.T) {
	ok := Data{Of: "x", Grid: grid(1, 1, 1), Lead: 1, Trail: 1, Type: Uint8, Parts: []Part{{File: InMemory("x", []byte{1})}}}
	require.NoError(t, ok.Check())
	for name, edit := range map[string]func(*Data){
		"spacing 0":     func(d *Data) { d.Grid.Spacing[1] = 0 },
		"spacing NaN":   func(d *Data) { d.Grid.Spacing[1] = math.NaN() },
		"affine NaN":    func(d *Data) { d.Grid.Affine[1][1] = math.NaN() },
		"flat":          func(d *Data) { d.Grid.Affine[1] = d.Grid.Affine[0] },
		"no lead":       func(d *Data) { d.Lead = 0 },
		"no part":       func(d *Data) { d.Parts = nil },
		"uneven parts":  func(d *Data) { d.Parts = append(d.Parts, d.Parts[0]) },
		"no type":       func(d *Data) { d.Type = 0 },
		"offset behind": func(d *Data) { d.Parts = []Part{{File: d.Parts[0].File, Offset: 2}} },
		"offset before": func(d *Data) { d.Parts = []Part{{File: d.Parts[0].File, Offset: -1}} },
		"skip":          func(d *Data) { d.Parts = []Part{{File: d.Parts[0].File, Skip: 1}} },
	} {
		d := ok
		edit(&d)
		assert.Error(t, d.Check(), name)
	}
}

// TestDamageIsTold has streams of the bytes 0 to 99: whole, followed by something else,
// and each with one bit of its last 8 bytes turned, or cut.
func TestDamageIsTold(t *testing.T) {
	values := make([]byte, 100)
	for i := range values {
		values[i] = byte(i)
	}
	var g, z bytes.Buffer
	for _, w := range []io.WriteCloser{gzip.NewWriter(&g), zlib.NewWriter(&z)} {
		_, err := w.Write(values)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	bz, err := os.ReadFile("testdata/hundred.bz2")
	require.NoError(t, err)
	for e, b := range map[Encoding][]byte{Gzip: g.Bytes(), Zlib: z.Bytes(), Bzip2: bz} {
		read := func(b []byte) error {
			d := Data{Of: "x", Grid: grid(4, 5, 5), Lead: 1, Trail: 1, Type: Uint8, Parts: []Part{{File: InMemory("x", b), Encoding: e}}}
			im, err := d.Image()
			if err == nil {
				assert.Equal(t, float32(99), im.Data[99])
			}
			return err
		}
		require.NoError(t, read(b), e.String())
		require.NoError(t, read(append(bytes.Clone(b), "something else"...)), e.String())
		for i := len(b) - 4; i < len(b); i++ { // checksum of zlib, length of gzip, end of bzip2
			bad := bytes.Clone(b)
			bad[i] ^= 0x40
			if e == Bzip2 && i == len(b)-1 {
				continue // padding
			}
			assert.Error(t, read(bad), "%s, byte %d", e, i)
		}
		assert.ErrorIs(t, read(b[:len(b)-1]), io.ErrUnexpectedEOF, e.String())
		assert.Error(t, read(b[:20]), e.String())
	}
}

func TestAGzipOfSeveralMembersIsOne(t *testing.T) {
	var b bytes.Buffer
	for i := range 4 {
		w := gzip.NewWriter(&b)
		_, err := w.Write([]byte{byte(i)})
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	d := Data{Of: "x", Grid: grid(1, 1, 4), Lead: 1, Trail: 1, Type: Uint8, Parts: []Part{{File: InMemory("x", b.Bytes()), Encoding: Gzip}}}
	im, err := d.Image()
	require.NoError(t, err)
	assert.Equal(t, []float32{0, 1, 2, 3}, im.Data)
}
