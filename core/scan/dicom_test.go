package scan

import (
	"archive/zip"
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/dicom"
	"github.com/gounet/gounet/core/voxel"
)

func dataDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("GOUNET_DATA")
	if dir == "" {
		t.Skip("GOUNET_DATA is not set: it names the folder with the shared test data")
	}
	return dir
}

func TestAFolderAndAZipOfDICOMAreTheSameScan(t *testing.T) {
	folder := filepath.Join(dataDir(t), "dicom", "series_ref", "udacity", "Study1", "13_HCropVolume")
	s := open(t, folder)
	assert.Equal(t, DICOM, s.Kind)
	assert.NotNil(t, s.Series())
	want, err := s.Image(ctx)
	require.NoError(t, err)
	c, err := dicom.Open(ctx, folder)
	require.NoError(t, err)
	series, err := c.Scan()
	require.NoError(t, err)
	direct, err := series.Image(ctx)
	require.NoError(t, err)
	require.Equal(t, direct.Data, want.Data)

	path := filepath.Join(t.TempDir(), "study.zip")
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	require.NoError(t, z.AddFS(os.DirFS(folder)))
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	zipped := open(t, path)
	got, err := zipped.Image(ctx)
	require.NoError(t, err)
	assert.Equal(t, want.Data, got.Data)
	assert.Equal(t, "study", zipped.Name)

	s2, err := OpenFiles(ctx, Options{}, []voxel.File{voxel.InMemory("study.zip", b.Bytes())})
	require.NoError(t, err)
	assert.Equal(t, s.Grid, s2.Grid)

	l := labelsOf(s.Grid)
	out := filepath.Join(t.TempDir(), "a.seg.nrrd")
	require.NoError(t, s.WriteLabels(out, l, nil))
	assert.Empty(t, Differ(s.Grid, open(t, out).Grid))
}

func TestOfSeveralSeriesNoneIsGuessed(t *testing.T) {
	root := filepath.Join(dataDir(t), "dicom", "series_ref", "dcm_qa_nih", "In")
	_, err := Open(ctx, Options{}, root)
	require.ErrorContains(t, err, "series, choose one")
	c, err := dicom.Open(ctx, root)
	require.NoError(t, err)
	defer c.Close()
	seen := map[int]int{}
	for _, s := range c.Series {
		seen[s.Number]++
	}
	for _, want := range c.Series {
		names := []string{want.UID}
		if seen[want.Number] == 1 {
			names = append(names, strconv.Itoa(want.Number))
		} else {
			_, err := Open(ctx, Options{Series: []string{strconv.Itoa(want.Number)}}, root)
			require.ErrorContains(t, err, "2 series are called")
		}
		for _, name := range names {
			s, err := Open(ctx, Options{Series: []string{name}}, root)
			require.NoError(t, err)
			assert.Equal(t, want.Volumes[0].Grid, s.Grid)
			assert.Equal(t, len(want.Volumes), s.Channels)
		}
	}
	assert.Contains(t, slices.Collect(maps.Values(seen)), 1)
	_, err = Open(ctx, Options{Series: []string{"-5"}}, root)
	assert.ErrorContains(t, err, `0 series are called "-5"`)
}

func TestNiiVuesNRRDIsItsNIfTI(t *testing.T) {
	dir := filepath.Join(dataDir(t), "volumes", "niivue")
	a, err := open(t, filepath.Join(dir, "FLAIR.nii.gz")).Image(ctx)
	require.NoError(t, err)
	b, err := open(t, filepath.Join(dir, "FLAIR.nrrd")).Image(ctx)
	require.NoError(t, err)
	assert.Equal(t, a.Data, b.Data)
	assert.Empty(t, Differ(a.Grid, b.Grid))
}

func TestAScanWarnsOfMissingSlices(t *testing.T) {
	folder := filepath.Join(dataDir(t), "dicom", "series_ref", "udacity", "Study1", "13_HCropVolume")
	assert.Empty(t, open(t, folder).Warnings)
	short := filepath.Join(t.TempDir(), "short")
	require.NoError(t, os.CopyFS(short, os.DirFS(folder)))
	require.NoError(t, os.Remove(filepath.Join(short, "7.dcm")))
	s := open(t, short)
	require.Len(t, s.Warnings, 1)
	assert.Contains(t, s.Warnings[0], "Slices are missing from the series, 1 of 32: 1 between ")
	assert.Equal(t, open(t, folder).Grid.Shape, s.Grid.Shape)
	assert.Contains(t, s.Details, Detail{"slices", "31"})
}
