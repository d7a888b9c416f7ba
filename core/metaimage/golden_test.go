package metaimage

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
	"github.com/gounet/gounet/core/voxel/voxeltest"
)

// expectations are what testdata/golden.py found with SimpleITK.
func expectations(t testing.TB) (e map[string]voxeltest.Golden) {
	t.Helper()
	voxeltest.Expected(t, &e)
	require.Len(t, e, 30)
	return e
}

func openFile(t testing.TB, path string) *Header {
	t.Helper()
	return voxeltest.File(t, path, Open)
}

func TestValuesAndPlacesAreThoseOfSimpleITK(t *testing.T) {
	for name, want := range expectations(t) {
		t.Run(name, func(t *testing.T) {
			h := openFile(t, filepath.Join("testdata", name))
			// ITK makes the directions orthonormal to double precision.
			voxeltest.Equal(t, want, h.Data, func(v float64) float64 { return 1e-12 * (1 + math.Abs(v)) })
		})
	}
}

func TestImagesSurviveWritingAndReading(t *testing.T) {
	for name := range expectations(t) {
		if strings.Contains(name, "int64") || strings.Contains(name, "float64") {
			continue // float32 does not hold them; they are tested above
		}
		h := openFile(t, filepath.Join("testdata", name))
		im, err := h.Data.Image()
		require.NoError(t, err)
		for _, like := range []*Header{h, nil} {
			path := filepath.Join(t.TempDir(), "again.mha")
			require.NoError(t, WriteImage(path, im, like))
			again, err := openFile(t, path).Data.Image()
			require.NoError(t, err)
			assert.Equal(t, im.Data, again.Data, name)
			assert.Equal(t, im.Shape, again.Shape, name)
			for i := range im.Affine {
				for j, v := range im.Affine[i] { // divided by the spacing and multiplied again: two roundings
					assert.InDelta(t, v, again.Affine[i][j], 0x1p-51*math.Abs(v), name)
				}
			}
		}
	}
}

func TestLabelsKeepTheWordsOfTheirScan(t *testing.T) {
	h := openFile(t, "testdata/int16_zpair.mhd")
	l := volume.NewLabels(h.Data.Grid)
	for i := range l.Data {
		l.Data[i] = uint8(i % 5)
	}
	for _, name := range []string{"a.mha", "a.mhd"} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, WriteLabels(path, l, h))
		g := openFile(t, path)
		again, err := g.Data.Labels()
		require.NoError(t, err)
		assert.Equal(t, l, again)
		for _, f := range []string{"TransformMatrix", "Offset", "CenterOfRotation", "AnatomicalOrientation", "ElementSpacing"} {
			require.NotEmpty(t, h.get(f))
			assert.Equal(t, h.get(f), g.get(f))
		}
	}
	l.Shape[0]++
	assert.ErrorContains(t, WriteLabels(filepath.Join(t.TempDir(), "a.mha"), l, h), "labels for a grid")
}

// TestWrittenFilesForOthers writes files where GOUNET_WRITE says, for testdata/check.py.
func TestWrittenFilesForOthers(t *testing.T) {
	dir := os.Getenv("GOUNET_WRITE")
	if dir == "" {
		t.Skip("GOUNET_WRITE is not set: it names a folder for files that testdata/check.py reads")
	}
	h := openFile(t, "testdata/int16_vector.mha")
	im, err := h.Data.Image()
	require.NoError(t, err)
	require.NoError(t, WriteImage(filepath.Join(dir, "vector.mha"), im, nil))
	l := volume.NewLabels(h.Data.Grid)
	for i := range l.Data {
		l.Data[i] = uint8(i)
	}
	require.NoError(t, WriteLabels(filepath.Join(dir, "labels.mha"), l, h))
	require.NoError(t, WriteLabels(filepath.Join(dir, "labels.mhd"), l, nil))
}

const plain = "NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n12345678"

func TestWhatIsWrongIsNamed(t *testing.T) {
	edit := func(old, new string) string { return strings.Replace(plain, old, new, 1) }
	for _, c := range []struct{ file, want string }{
		{"", "without the field ElementDataFile"},
		{"ObjectType = Image\nfoo\n", "line 2"},
		{edit("NDims = 3", "ObjectType = Tube"), "wanted Image"},
		{edit("NDims = 3", "NDims = 99"), "field NDims"},
		{edit("NDims = 3\n", ""), "field NDims"},
		{edit("2 2 2", "2 2"), "field DimSize has 2 numbers"},
		{edit("2 2 2", "2 2 0"), "field DimSize: axis 2"},
		{edit("2 2 2", "1e15 1e15 2"), "field DimSize"},
		{edit("2 2 2", "2 2 3"), "need 12 bytes from byte"},
		{edit("UCHAR", "STRING"), "field ElementType"},
		{edit("NDims", "HeaderSize = -2\nNDims"), "field HeaderSize"},
		{edit("NDims", "CompressedData = True\nHeaderSize = -1\nNDims"), "field HeaderSize"},
		{edit("NDims", "CompressedData = maybe\nNDims"), "field CompressedData"},
		{edit("NDims", "TransformMatrix = 1 0 0 1 0 0 0 0 1\nNDims"), "lie in one plane"},
		{edit("NDims", "TransformMatrix = 1 0\nNDims"), "field TransformMatrix has 2 numbers"},
		{edit("NDims", "ElementSpacing = 1 nan 1\nNDims"), "field ElementSpacing"},
		{edit("NDims", "NDims = 3\nNDims"), "twice"},
		{edit("LOCAL", "../x.raw"), "is not in the folder of the header"},
		{edit("LOCAL", "/etc/passwd"), "is not in the folder of the header"},
		{edit("LOCAL", `C:\x.raw`), "is not in the folder of the header"},
		{edit("LOCAL", "x.raw"), "is not at hand"},
		{edit("LOCAL", "x%d.raw 1 900000 1"), "wanted 1 to 65536 files"},
		{edit("LOCAL", "x%s.raw 1 2 1"), "wanted one number"},
		{edit("LOCAL\n12345678", "LIST\n"), "no names follow"},
	} {
		_, err := Open(voxel.InMemory("a.mha", []byte(c.file)))
		require.Error(t, err, c.file)
		assert.ErrorContains(t, err, c.want)
		assert.ErrorContains(t, err, "metaimage: a.mha: ")
	}
}

func FuzzOpen(f *testing.F) {
	for _, pattern := range []string{"testdata/*.mha", "testdata/*.mhd"} {
		names, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, n := range names {
			b, err := os.ReadFile(n)
			require.NoError(f, err)
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := voxel.InFS(fstest.MapFS{"a": {Data: b}, "slice1.raw": {Data: b}}, "a")
		require.NoError(t, err)
		h, err := Open(file)
		if err != nil {
			require.ErrorContains(t, err, "metaimage: a: ")
			return
		}
		if h.Data.Grid.Voxels()*h.Data.Channels() > 1<<22 {
			return // deflate may really hold them; it takes its time
		}
		_, _ = h.Data.Image()
		l, err := h.Data.Labels()
		if err != nil {
			return
		}
		var out bytes.Buffer
		require.NoError(t, EncodeLabels(&out, "b.mha", l, h))
		g, err := Open(voxel.InMemory("b.mha", out.Bytes()))
		require.NoError(t, err)
		again, err := g.Data.Labels()
		require.NoError(t, err)
		require.Equal(t, l.Data, again.Data)
		require.Equal(t, l.Shape, again.Shape)
	})
}
