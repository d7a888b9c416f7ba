package mgh

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/core/voxel"
	"github.com/gounet/gounet/core/voxel/voxeltest"
)

// expectations are what testdata/golden.py found with nibabel.
func expectations(t testing.TB) (e map[string]voxeltest.Golden) {
	t.Helper()
	voxeltest.Expected(t, &e)
	require.Len(t, e, 8)
	return e
}

func openFile(t testing.TB, path string) *Header {
	t.Helper()
	return voxeltest.File(t, path, Open)
}

func TestValuesAndPlacesAreThoseOfNibabel(t *testing.T) {
	for name, want := range expectations(t) {
		t.Run(name, func(t *testing.T) {
			h := openFile(t, filepath.Join("testdata", name))
			if name == "unplaced.mgh" {
				// FreeSurfer's page of the format has y to the feet and z to the front in a
				// file without a place; nibabel has both the other way.
				want.Affine = &[4][4]float64{{-1, 0, 0, 2}, {0, 0, 1, -1}, {0, -1, 0, 1.5}, {0, 0, 0, 1}}
			}
			// nibabel multiplies directions and spacings as float32: one rounding each, and
			// four terms of at most 100 mm to the place.
			voxeltest.Equal(t, want, h.Data, func(float64) float64 { return 4 * 100 * 0x1p-23 })
		})
	}
}

func TestLabelsLieWhereTheirScanDoes(t *testing.T) {
	for name := range expectations(t) {
		h := openFile(t, filepath.Join("testdata", name))
		l := volume.NewLabels(h.Data.Grid)
		for i := range l.Data {
			l.Data[i] = uint8(i)
		}
		for _, ending := range []string{".mgh", ".mgz"} {
			path := filepath.Join(t.TempDir(), "a"+ending)
			require.NoError(t, WriteLabels(path, l, h))
			g := openFile(t, path)
			again, err := g.Data.Labels()
			require.NoError(t, err)
			assert.Equal(t, l, again, name)
			require.NoError(t, WriteLabels(path, l, nil))
			for i, row := range openFile(t, path).Data.Grid.Affine {
				for j, v := range row {
					assert.InDelta(t, l.Affine[i][j], v, 4*100*0x1p-23, "affine %d %d", i, j) // kept as float32
				}
			}
		}
	}
}

func TestNibabelsOwnFileIsRead(t *testing.T) {
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: it names the folder with the shared test data")
	}
	h := openFile(t, filepath.Join(dir, "nifti", "nibabel", "test.mgz"))
	im, err := h.Data.Image()
	require.NoError(t, err)
	// What nibabel 5.4.2 says of it.
	assert.Equal(t, [3]int{5, 4, 3}, im.Shape)
	assert.Equal(t, 2, im.C)
	assert.Equal(t, float32(-0.3047007), im.Data[((3*4+2)*3+1)*2]) // v[1, 2, 3, 0]
	assert.Equal(t, [4][4]float64{{1, 2, 3, -13}, {2, 3, 1, -11.5}, {3, 1, 2, -11.5}, {0, 0, 0, 1}}, im.Affine)
}

func FuzzOpen(f *testing.F) {
	names, err := filepath.Glob("testdata/*.mg?")
	require.NoError(f, err)
	require.NotEmpty(f, names)
	for _, n := range names {
		b, err := os.ReadFile(n)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := Open(voxel.InMemory("a.mgz", b))
		if err != nil {
			require.ErrorContains(t, err, "mgh: a.mgz: ")
			return
		}
		if h.Data.Grid.Voxels()*h.Frames > 1<<22 {
			return // deflate may really hold them; it takes its time
		}
		_, _ = h.Data.Image()
		l, err := h.Data.Labels()
		if err != nil {
			return
		}
		var out bytes.Buffer
		require.NoError(t, EncodeLabels(&out, "b.mgh", l, h))
		g, err := Open(voxel.InMemory("b.mgh", out.Bytes()))
		require.NoError(t, err)
		again, err := g.Data.Labels()
		require.NoError(t, err)
		require.Equal(t, l.Data, again.Data)
	})
}
