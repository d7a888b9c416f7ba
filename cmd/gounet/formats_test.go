package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/server/servertest"
)

// Of a scan that is no series, and of one with several slices, the formats that cannot be
// written are known when it is open.
func TestFormatsSayWhichScansTheyFit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scan.nii.gz")
	require.NoError(t, scan.WriteImage(path, servertest.Scan([3]int{4, 5, 6}), nil))
	open := func(path string) *scan.Scan {
		s, err := scan.Open(t.Context(), scan.Options{}, path)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, s.Close()) })
		return s
	}
	refused := func(s *scan.Scan) (names []string) {
		for _, f := range labelFormats(dicom.WriteOptions{}) {
			if err := f.Check(s); err != nil {
				assert.ErrorContains(t, err, "format "+f.Name)
				assert.ErrorContains(t, err, ": choose ")
				names = append(names, f.Name)
			}
		}
		return names
	}
	assert.Equal(t, []string{"png", "seg", "labelmap", "rtstruct"}, refused(open(path)))
	assert.Equal(t, []string{"png"}, refused(open(filepath.Join("..", "..", "core", "dicom", "testdata", "rt-utils"))))
	flat := filepath.Join(t.TempDir(), "flat.nii.gz")
	require.NoError(t, scan.WriteImage(flat, servertest.Scan([3]int{1, 5, 6}), nil))
	assert.NotContains(t, refused(open(flat)), "png")
}
