package analyze

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/voxel"
)

// expected is what testdata/golden.py found with nibabel.
type expected struct {
	Shape    []int
	Channels int
	Affine   [4][4]float64
	Values   []float64
}

func TestValuesAndPlacesAreThoseOfNibabel(t *testing.T) {
	b, err := os.ReadFile("testdata/expected.json")
	require.NoError(t, err)
	var e map[string]expected
	require.NoError(t, json.Unmarshal(b, &e))
	require.Len(t, e, 11)
	for name, want := range e {
		for _, name := range []string{name, strings.Replace(name, ".hdr", ".img", 1)} {
			t.Run(name, func(t *testing.T) {
				f, err := voxel.OnDisk(filepath.Join("testdata", name))
				require.NoError(t, err)
				h, err := Open(f)
				require.NoError(t, err)
				g := h.Data.Grid
				assert.Equal(t, want.Shape, []int{g.Shape[2], g.Shape[1], g.Shape[0]})
				assert.Equal(t, want.Channels, h.Data.Channels())
				require.NoError(t, h.Data.Values(func(first int, v []float64) error {
					for i, x := range v {
						w := want.Values[first+i]
						// nibabel scales in float64 where the factor is one of float32.
						assert.InDelta(t, w, x, 4*0x1p-52*math.Abs(w))
					}
					return nil
				}))
				for i, row := range want.Affine {
					for j, v := range row {
						assert.InDelta(t, v, g.Affine[i][j], 0x1p-20, "affine %d %d", i, j) // float32 products below 8 mm
					}
				}
			})
		}
	}
}

func FuzzOpen(f *testing.F) {
	names, err := filepath.Glob("testdata/*.hdr")
	require.NoError(f, err)
	require.NotEmpty(f, names)
	for _, n := range names {
		b, err := os.ReadFile(n)
		require.NoError(f, err)
		img, err := os.ReadFile(strings.Replace(n, ".hdr", ".img", 1))
		require.NoError(f, err)
		f.Add(b, img)
	}
	f.Fuzz(func(t *testing.T, hdr, img []byte) {
		file, err := voxel.InFS(fstest.MapFS{"a.hdr": {Data: hdr}, "a.img": {Data: img}}, "a.hdr")
		require.NoError(t, err)
		h, err := Open(file)
		if err != nil {
			require.ErrorContains(t, err, "analyze: a.hdr: ")
			return
		}
		if h.Data.Grid.Voxels()*h.Data.Channels() > 1<<22 {
			return // deflate may really hold them; it takes its time
		}
		_, _ = h.Data.Image()
		_, _ = h.Data.Labels()
	})
}
