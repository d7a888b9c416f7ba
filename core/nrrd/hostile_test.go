package nrrd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

const plain = "NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n" +
	"space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nencoding: raw\n"

func edit(old, new string) string { return strings.Replace(plain, old, new, 1) + "\n12345678" }

func TestWhatIsWrongIsNamed(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"", `line 1 is ""`},
		{"NRRD0009\n", "wanted NRRD0001 to NRRD0005"},
		{"NRRD0004\nnonsense\n", "line 2"},
		{"NRRD0004\n", "field type"},
		{edit("uchar", "block"), "blocks of bytes"},
		{edit("uchar", "short"), "field endian"},
		{edit("raw", "zlib"), "field encoding"},
		{edit("dimension: 3", "dimension: 17"), "field dimension"},
		{edit("2 2 2", "2 2"), "field sizes has 2 numbers"},
		{edit("2 2 2", "2 0 2"), "field sizes: axis 1"},
		{edit("2 2 2", "9223372036854775807 9223372036854775807 2"), "field sizes"},
		{edit("2 2 2", "2 2 3"), "nrrd: a.nrrd: 2 × 2 × 3 voxels of 1 × uint8 need 12 bytes from byte"},
		{edit("raw", "hex"), "need 16 bytes from byte"},
		{edit("(1,0,0)", "(0,0,0)"), "spacing"},
		{edit("(1,0,0)", "(0,1,0)"), "lie in one plane"},
		{edit("(1,0,0)", "(1,0"), "space directions"},
		{edit("(0,1,0)", "none"), "permute the axes"},
		{edit("(0,0,0)", "(0,1e400,0)"), "space origin"},
		{edit("raw", "raw\nbyte skip: -2"), "byte skip"},
		{edit("raw", "gzip\nbyte skip: -1"), "byte skip"},
		{edit("raw", "raw\ndata file: ../other.raw"), "is not in the folder of the header"},
		{edit("raw", "raw\ndata file: /etc/passwd"), "is not in the folder of the header"},
		{edit("raw", `raw`+"\ndata file: a\\b"), "backslash"},
		{edit("raw", "raw\ndata file: x%s.raw 1 2 1"), "wanted one number"},
		{edit("raw", "raw\ndata file: x%d.raw 1 2000000 1"), "wanted 1 to 65536 files"},
		{edit("raw", "raw\ndata file: LIST\n"), "no names follow"},
		{edit("raw", "raw\nencoding: raw"), "twice"},
		{edit("raw", "raw\nSegment0_Color:=1 1"), "segment 0: key Color"},
		{edit("raw", "raw\nSegment0_Layer:=7"), "segment 0: key Layer is 7"},
		{edit("raw", "raw\nSegment3_ID:=a"), "none has the number 0"},
	} {
		_, err := Open(voxel.InMemory("a.nrrd", []byte(c.file)))
		require.Error(t, err, c.file)
		assert.ErrorContains(t, err, c.want)
		assert.ErrorContains(t, err, "nrrd: a.nrrd: ")
	}
}

// SimpleITK 2.5.7 reads 258, -2, 3, 4 of the first of these.
func TestHexIsTheBytesOfRaw(t *testing.T) {
	const header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 1\nendian: %s\nencoding: hex\n\n"
	for order, digits := range map[string]string{"little": "0201 feFF\n03000400\n", "big": "01 02ff FE\r\n\t0003 0004"} {
		h, err := Open(voxel.InMemory("a.nrrd", []byte(fmt.Sprintf(header, order)+digits)))
		require.NoError(t, err, order)
		im, err := h.Data.Image()
		require.NoError(t, err, order)
		assert.Equal(t, []float32{258, -2, 3, 4}, im.Data, order)
	}
	for digits, want := range map[string]string{"0201feff0300040g": "invalid byte", "0201feff0300040 ": "truncated", "0201 feff 0300 04": "truncated"} {
		h, err := Open(voxel.InMemory("a.nrrd", []byte(fmt.Sprintf(header, "little")+digits)))
		require.NoError(t, err)
		_, err = h.Data.Image()
		assert.ErrorContains(t, err, want, digits)
	}
}

func TestFilesOutsideTheFolderStayClosed(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "in")
	require.NoError(t, os.MkdirAll(inner, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret.raw"), []byte("12345678"), 0o600))
	require.NoError(t, os.Symlink("../secret.raw", filepath.Join(inner, "link.raw")))
	header := filepath.Join(inner, "a.nhdr")
	require.NoError(t, os.WriteFile(header, []byte(plain+"data file: link.raw\n"), 0o600))
	f, err := voxel.OnDisk(header)
	require.NoError(t, err)
	_, err = Open(f)
	require.ErrorContains(t, err, "escapes")
	require.NoError(t, os.WriteFile(filepath.Join(inner, "link2.raw"), []byte("12345678"), 0o600))
	require.NoError(t, os.WriteFile(header, []byte(plain+"data file: ./link2.raw\n"), 0o600))
	_, err = Open(f)
	require.NoError(t, err)
}

func TestFilesOfABrowserAreRead(t *testing.T) {
	fsys := fstest.MapFS{"d/a.nhdr": {Data: []byte(plain + "data file: a.raw\n")}, "d/a.raw": {Data: []byte("\x01\x02\x03\x04\x05\x06\x07\x08")}}
	f, err := voxel.InFS(fsys, "d/a.nhdr")
	require.NoError(t, err)
	h, err := Open(f)
	require.NoError(t, err)
	l, _, err := h.Labels()
	require.NoError(t, err)
	assert.Equal(t, []uint8{1, 2, 3, 4, 5, 6, 7, 8}, l.Data)
}

// TestALieInACompressedFileTakesNoMemory has a header of 256 MiB of labels over a
// gzip of as many bytes as could hold them, but does not.
func TestALieInACompressedFileTakesNoMemory(t *testing.T) {
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.NoCompression)
	require.NoError(t, err)
	_, err = io.CopyN(w, zeros{}, 600<<10)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	file := append([]byte(edit("2 2 2", "1024 1024 256")[:len(edit("2 2 2", "1024 1024 256"))-8]), z.Bytes()...)
	file = bytes.Replace(file, []byte("encoding: raw"), []byte("encoding: gzip"), 1)
	h, err := Open(voxel.InMemory("a.nrrd", file))
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err = h.Labels()
	_, err2 := h.Data.Image()
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorIs(t, err2, io.ErrUnexpectedEOF)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4*len(file)+64<<20))
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// TestAHeaderOfManyLinesIsReadInOnePass fails by its time limit if each line costs
// a pass over those before it.
func TestAHeaderOfManyLinesIsReadInOnePass(t *testing.T) {
	b := bytes.NewBufferString("NRRD0004\n")
	for i := range voxel.MaxHeaderLines - 2 {
		fmt.Fprintf(b, "%x:1\n", i)
	}
	_, err := Open(voxel.InMemory("a.nrrd", b.Bytes()))
	assert.ErrorContains(t, err, "field type")
	b.WriteString("#\n#\n")
	_, err = Open(voxel.InMemory("a.nrrd", b.Bytes()))
	assert.ErrorContains(t, err, "the header has more than")
	_, err = Open(voxel.InMemory("a.nrrd", append([]byte("NRRD0004\n"), make([]byte, voxel.MaxHeader)...)))
	assert.ErrorContains(t, err, "the header has more than")
}

func TestDamagedGzipIsAnError(t *testing.T) {
	b, err := os.ReadFile("testdata/encoding_gzip.nrrd")
	require.NoError(t, err)
	b[len(b)-5] ^= 1 // of the checksum
	h, err := Open(voxel.InMemory("a.nrrd", b))
	require.NoError(t, err)
	_, err = h.Data.Image()
	assert.ErrorContains(t, err, "checksum")
}

func FuzzOpen(f *testing.F) {
	for _, pattern := range []string{"testdata/*.nrrd", "testdata/*.nhdr"} {
		names, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, n := range names {
			b, err := os.ReadFile(n)
			require.NoError(f, err)
			if len(b) < 4096 {
				f.Add(b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fsys := fstest.MapFS{"a": {Data: b}, "a.raw": {Data: b}}
		file, err := voxel.InFS(fsys, "a")
		require.NoError(t, err)
		h, err := Open(file)
		if err != nil {
			require.ErrorContains(t, err, "nrrd: a: ")
			return
		}
		if h.Data.Grid.Voxels()*h.Data.Channels() > 1<<22 {
			return // deflate may really hold them; it takes its time
		}
		l, segments, err := h.Labels()
		if err == nil {
			writeAndRead(t, l, segments, h)
		}
		_, _ = h.Data.Image()
	})
}

func writeAndRead(t *testing.T, l *volume.Labels, segments []Segment, like *Header) {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, EncodeLabels(&out, "b.seg.nrrd", l, segments, like))
	h, err := Open(voxel.InMemory("b", out.Bytes()))
	require.NoError(t, err)
	again, _, err := h.Labels()
	require.NoError(t, err)
	require.Equal(t, l.Data, again.Data)
	require.Equal(t, l.Shape, again.Shape)
}
