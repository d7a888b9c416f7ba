package nifti

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/gounet/gounet/core/volume"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLabelsKeepGeometryAndExtensionsOfTheScan(t *testing.T) {
	for _, name := range []string{"seg.nii", "seg.nii.gz"} {
		im, h, err := DecodeImage(bytes.NewReader(scan(t)), "x.nii")
		require.NoError(t, err)
		h.raw.IntentCode = 5 // z-scores: true of the scan only
		l := volume.NewLabels(im.Grid)
		for i := range l.Data {
			l.Data[i] = uint8(i * 4)
		}
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, WriteLabels(path, l, h))
		again, g, err := ReadLabels(path)
		require.NoError(t, err)
		assert.Equal(t, l, again)
		assert.Equal(t, "uint8", g.DType)
		assert.Equal(t, h.Affine, g.Affine)
		assert.Equal(t, h.Extensions, g.Extensions)
		assert.Equal(t, "a comment", string(g.Extensions[0].Data[:9]))
		assert.Zero(t, g.raw.IntentCode)
		entries, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		assert.Len(t, entries, 1, "no temporary file is left")
	}
}

func TestLabelsOfAManyChannelScanAreThreeDimensional(t *testing.T) {
	b := vector{dim: []int64{2, 1, 3, 2}, datatype: 2, voxels: make([]uint8, 12)}.bytes(t)
	im, h, err := DecodeImage(bytes.NewReader(b), "x.nii")
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, EncodeLabels(&out, "seg.nii", volume.NewLabels(im.Grid), h))
	_, g, err := DecodeLabels(&out, "seg.nii")
	require.NoError(t, err)
	assert.Equal(t, []int{2, 1, 3}, g.Shape)
}

func TestGridAloneGivesGeometry(t *testing.T) {
	// A rotation of 90° about z and 30° about x, spacing 0.5, 0.75, 2 (x y z).
	c, s := math.Cos(math.Pi/6), math.Sin(math.Pi/6)
	rot := [3][3]float64{{0, -c, s}, {1, 0, 0}, {0, s, c}}
	oblique := [4][4]float64{3: {0, 0, 0, 1}}
	mirrored := oblique
	for i := range 3 {
		for j, zoom := range []float64{0.5, 0.75, 2} {
			oblique[i][j] = rot[i][j] * zoom
			mirrored[i][j] = oblique[i][j]
		}
		mirrored[i][2] = -mirrored[i][2]
		oblique[i][3], mirrored[i][3] = float64(10*i), -7
	}
	sheared := oblique
	sheared[0][1] += 0.3
	spacing := [3]float64{2, 0.75, 0.5}
	for _, c := range []struct {
		name         string
		affine, want [4][4]float64
		qform        bool
	}{
		{"oblique", oblique, oblique, true},
		{"mirrored", mirrored, mirrored, true},
		{"sheared", sheared, sheared, false},
		{"none", [4][4]float64{}, [4][4]float64{{0.5}, {0, 0.75}, {0, 0, 2}, {0, 0, 0, 1}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := volume.NewImage(volume.Grid{Shape: [3]int{2, 3, 4}, Spacing: spacing, Affine: c.affine}, 2)
			for i := range im.Data {
				im.Data[i] = float32(i) / 3
			}
			var out bytes.Buffer
			require.NoError(t, EncodeImage(&out, "x.nii.gz", im, nil))
			again, h, err := DecodeImage(&out, "x.nii.gz")
			require.NoError(t, err)
			assert.Equal(t, []int{4, 3, 2, 2}, h.Shape)
			assert.Equal(t, im.Data, again.Data)
			assert.Equal(t, spacing, again.Spacing)
			near(t, c.want, h.Affine)
			h.raw.SformCode = 0
			assert.Equal(t, c.qform, h.raw.QformCode > 0)
			if c.qform {
				q, err := bestAffine(&h.raw, h.Shape)
				require.NoError(t, err)
				near(t, c.want, q)
			}
		})
	}
}

// near compares affines to the precision of a float32 header.
func near(t *testing.T, want, got [4][4]float64) {
	t.Helper()
	for i := range 4 {
		for j := range 4 {
			assert.InDelta(t, want[i][j], got[i][j], 8*0x1p-23*(1+math.Abs(want[i][j])), "%d %d", i, j)
		}
	}
}

func TestQuaternionsOfAllRotationsReturn(t *testing.T) {
	for w := -2.0; w <= 2; w++ {
		for x := -2.0; x <= 2; x++ {
			for y := -2.0; y <= 2; y++ {
				for z := -2.0; z <= 2; z++ {
					if w == 0 && x == 0 && y == 0 && z == 0 {
						continue
					}
					want := rotation(w, x, y, z)
					q := quaternion(want)
					a := math.Sqrt(max(0, 1-q[0]*q[0]-q[1]*q[1]-q[2]*q[2]))
					got := rotation(a, q[0], q[1], q[2])
					for i := range 3 {
						for j := range 3 {
							// The root of a difference near zero keeps half the digits.
							require.InDelta(t, want[i][j], got[i][j], 1e-7)
						}
					}
				}
			}
		}
	}
}

func TestLongAxesNeedVersionTwo(t *testing.T) {
	l := volume.NewLabels(volume.Grid{Shape: [3]int{1, 1, 40000}, Spacing: [3]float64{1, 1, 1}})
	l.Data[39999] = 3
	var out bytes.Buffer
	require.NoError(t, EncodeLabels(&out, "x.nii", l, nil))
	again, h, err := DecodeLabels(&out, "x.nii")
	require.NoError(t, err)
	assert.Equal(t, 2, h.Version)
	assert.Equal(t, l.Data, again.Data)
}

func TestAFailedWriteLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := save(t, dir, "seg.nii.gz", []byte("old"))
	_, h, err := DecodeImage(bytes.NewReader(scan(t)), "x.nii")
	require.NoError(t, err)
	l := volume.NewLabels(volume.Grid{Shape: [3]int{1, 2, 3}, Spacing: [3]float64{1, 1, 1}})
	require.ErrorContains(t, WriteLabels(path, l, h), "shape [1 2 3] (D H W), the header to write it with has [5 4 3]")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "old", string(b))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	g := volume.Grid{Shape: [3]int{1, 1, 1}, Spacing: [3]float64{1, 1, 1}}
	dir := t.TempDir()
	for name, c := range map[string]struct {
		file string
		l    *volume.Labels
		like *Header
		want string
	}{
		"name":       {"x.hdr", volume.NewLabels(g), nil, "ends in .nii or .nii.gz"},
		"data":       {"x.nii", &volume.Labels{Grid: g}, nil, "0 labels"},
		"spacing":    {"x.nii", volume.NewLabels(volume.Grid{Shape: g.Shape}), nil, "spacing"},
		"made by us": {"x.nii", volume.NewLabels(g), &Header{Shape: []int{1, 1, 1}, Spacing: []float64{1, 1, 1}}, "not read from a file"},
		"folder":     {"absent/x.nii", volume.NewLabels(g), nil, "o such file"},
	} {
		assert.ErrorContains(t, WriteLabels(filepath.Join(dir, c.file), c.l, c.like), c.want, name)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestAFullDiskIsAnErrorAndLeavesNothing(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("this system has no /dev/full")
	}
	t.Cleanup(func() { assert.NoError(t, full.Close()) })
	im := volume.NewImage(volume.Grid{Shape: [3]int{64, 64, 64}, Spacing: [3]float64{1, 1, 1}}, 1)
	for _, name := range []string{"x.nii", "x.nii.gz"} {
		assert.ErrorContains(t, EncodeImage(full, name, im, nil), "o space left", name)
	}
}
