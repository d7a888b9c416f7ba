package server

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

// zipped is a zip of the files of a folder but for some.
func zipped(t *testing.T, dir string, without ...string) []byte {
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		if len(without) > 0 && f.Name() == without[0] {
			continue
		}
		w, err := z.Create(f.Name())
		require.NoError(t, err)
		file, err := os.Open(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		_, err = io.Copy(w, file)
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func TestAJobOfASeriesWithAMissingSliceIsDoneWithAWarning(t *testing.T) {
	root := os.Getenv("GOUNET_DATA")
	if root == "" {
		t.Skip("GOUNET_DATA is not set: it names the folder with dicom/")
	}
	dir := filepath.Join(root, "dicom", "series_ref", "udacity", "Study1", "13_HCropVolume")
	r := start(t, testOptions(t))
	job := func(without ...string) api.Job {
		u := r.upload(zipped(t, dir, without...))
		return r.wait(r.submit(api.Submit{Model: modelID, Mirror: new(bool), Step: 1, Inputs: []api.Input{{Upload: u.ID}}}).ID)
	}
	whole := job()
	require.Equal(t, api.JobDone, whole.State, "%+v", whole.Failed)
	assert.Empty(t, whole.Warnings)
	j := job("7.dcm")
	require.Equal(t, api.JobDone, j.State, "%+v", j.Failed)
	assert.Equal(t, whole.Grid.Shape, j.Grid.Shape)
	require.Len(t, j.Warnings, 1)
	assert.Contains(t, j.Warnings[0], "Slices are missing from the series, 1 of 32: 1 between ")
	assert.Equal(t, j.Warnings, decode[api.Job](t, r.do("GET", "/api/v1/jobs/"+j.ID, nil), 200).Warnings)
}
