package raster

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
)

func openFile(t testing.TB, path string) (*Header, error) {
	t.Helper()
	f, err := voxel.OnDisk(path)
	require.NoError(t, err)
	return Open(f)
}

func TestValuesAreThoseOfPillowAndTifffile(t *testing.T) {
	b, err := os.ReadFile("testdata/expected.json")
	require.NoError(t, err)
	var e map[string]struct {
		Shape          []int
		Channels       int
		Values, Labels []float32
	}
	require.NoError(t, json.Unmarshal(b, &e))
	require.Len(t, e, 14)
	for name, want := range e {
		t.Run(name, func(t *testing.T) {
			h, err := openFile(t, filepath.Join("testdata", name))
			require.NoError(t, err)
			im, err := h.Image()
			require.NoError(t, err)
			assert.Equal(t, [3]int{1, want.Shape[0], want.Shape[1]}, im.Shape)
			assert.Equal(t, [3]float64{999, 1, 1}, im.Spacing)
			assert.Equal(t, want.Channels, im.C)
			assert.Equal(t, want.Values, im.Data)
			if want.Labels == nil {
				return
			}
			l, err := h.Labels()
			require.NoError(t, err)
			for i, v := range want.Labels {
				assert.Equal(t, v, float32(l.Data[i]))
			}
		})
	}
}

func TestPicturesThatAreNoLabelMapsAreRefused(t *testing.T) {
	h, err := openFile(t, "testdata/rgb.png")
	require.NoError(t, err)
	_, err = h.Labels()
	require.ErrorContains(t, err, "a label map has one")
	h, err = openFile(t, "testdata/grey16.png")
	require.NoError(t, err)
	_, err = h.Labels()
	require.ErrorContains(t, err, "labels are whole numbers from 0 to 254")
}

func TestLabelsSurviveWritingAndReading(t *testing.T) {
	l := volume.NewLabels(volume.Grid{Shape: [3]int{1, 3, 85}, Spacing: [3]float64{999, 1, 1}})
	for i := range l.Data {
		l.Data[i] = uint8(i)
	}
	path := filepath.Join(t.TempDir(), "a.png")
	require.NoError(t, WriteLabels(path, l))
	h, err := openFile(t, path)
	require.NoError(t, err)
	again, err := h.Labels()
	require.NoError(t, err)
	assert.Equal(t, l, again)
	l.Shape = [3]int{3, 1, 85}
	assert.ErrorContains(t, WriteLabels(path, l), "a PNG holds one slice")
}

// TestALargeClaimTakesNoMemory has a header of 16 384 × 16 384 pixels over a file
// that could hold them, but does not.
func TestALargeClaimTakesNoMemory(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))))
	file := append(b.Bytes(), make([]byte, 300<<10)...)
	binary.BigEndian.PutUint32(file[16:], 1<<14)
	binary.BigEndian.PutUint32(file[20:], 1<<14)
	binary.BigEndian.PutUint32(file[29:], crc32.ChecksumIEEE(file[12:29]))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Open(voxel.InMemory("a.png", file))
	runtime.ReadMemStats(&after)
	require.ErrorContains(t, err, "chunk IDAT holds")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	require.NoError(t, provePNG(bytes.NewReader(b.Bytes()), 8*9)) // the judge: what is there is found
}

func FuzzOpen(f *testing.F) {
	for _, pattern := range []string{"testdata/*.png", "testdata/*.tif", "testdata/stacks/*.tif"} {
		names, err := filepath.Glob(pattern)
		require.NoError(f, err)
		require.NotEmpty(f, names)
		for _, n := range names {
			b, err := os.ReadFile(n)
			require.NoError(f, err)
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Open(voxel.InMemory("a.png", b))
		if err != nil {
			require.ErrorContains(t, err, "raster: a.png: ")
			return
		}
		_, _ = h.Labels()
		if im, err := h.Image(); err == nil {
			require.Len(t, im.Data, im.Voxels()*im.C)
		}
	})
}
