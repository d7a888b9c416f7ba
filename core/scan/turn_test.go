package scan

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/volume"
)

func TestLabelsOfTheSameVoxelsInAnotherOrderAreTurned(t *testing.T) {
	dir := t.TempDir()
	image := oblique(1)
	require.NoError(t, nifti.WriteImage(filepath.Join(dir, "scan.nii"), image, nil))
	want := volume.NewLabels(image.Grid)
	for i := range want.Data {
		want.Data[i] = uint8(i % 200)
	}
	s, err := Open(ctx, Options{}, filepath.Join(dir, "scan.nii"))
	require.NoError(t, err)
	for _, axes := range []volume.Axes{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		for bits := range 8 {
			path := filepath.Join(dir, "labels.nii")
			turned := want.Transpose(axes).Flip([3]bool{bits&1 != 0, bits&2 != 0, bits&4 != 0})
			require.NoError(t, nifti.WriteLabels(path, turned, nil))
			got, _, err := s.ReadLabelsOn(ctx, path)
			require.NoError(t, err)
			assert.Equal(t, want.Data, got.Data, "%v %b", axes, bits)
		}
	}
	want.Affine[0][3]++
	require.NoError(t, nifti.WriteLabels(filepath.Join(dir, "moved.nii"), want, nil))
	_, _, err = s.ReadLabelsOn(ctx, filepath.Join(dir, "moved.nii"))
	assert.ErrorContains(t, err, "does not lie on the grid of scan: affine row 0")
}

// TotalSegmentator's own labels of a DICOM series run along y the other way.
func TestLabelsOfTotalSegmentatorLieOnTheirSeries(t *testing.T) {
	data := os.Getenv("GOUNET_DATA")
	if data == "" {
		t.Skip("GOUNET_DATA names no folder with the reference data")
	}
	dir := filepath.Join(data, "totalsegmentator_example")
	s, err := Open(ctx, Options{}, filepath.Join(dir, "example_ct_dicom"))
	require.NoError(t, err)
	file := filepath.Join(dir, "example_seg_dicom.nii.gz")
	got, _, err := s.ReadLabelsOn(ctx, file)
	require.NoError(t, err)
	assert.Empty(t, Differ(s.Grid, got.Grid))
	own, err := ReadLabels(file)
	require.NoError(t, err)
	n := own.Shape
	for d := range n[0] {
		for h := range n[1] {
			a, b := own.Data[(d*n[1]+h)*n[2]:][:n[2]], got.Data[(d*n[1]+n[1]-1-h)*n[2]:][:n[2]]
			require.Equal(t, a, b)
		}
	}
}
