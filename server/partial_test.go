package server

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/backend_cpu"
	readnifti "github.com/gounet/gounet/core/nifti"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/servertest"
)

// firstPart is what the library says after the first tile of a scan.
func firstPart(t *testing.T, shape [3]int) []uint8 {
	t.Helper()
	dev := cpu.Open(cpu.Options{Workers: 1})
	defer func() { require.NoError(t, dev.Close()) }()
	p, err := predict.New(servertest.Model(), predict.Options{Device: dev})
	require.NoError(t, err)
	defer p.Close()
	ctx, stop := context.WithCancel(t.Context())
	out := make([]uint8, shape[0]*shape[1]*shape[2])
	_, err = p.Image(ctx, servertest.Scan(shape), predict.ImageOptions{EveryRun: true, Partial: func(part predict.Partial) {
		b, n := part.Box, part.Box.Shape()
		for i, v := range part.Labels {
			d, h, w := i/(n[1]*n[2]), i/n[2]%n[1], i%n[2]
			out[((b.Lo[0]+d)*shape[1]+b.Lo[1]+h)*shape[2]+b.Lo[2]+w] = v
		}
		stop()
	}})
	require.ErrorIs(t, err, context.Canceled)
	return out
}

// Labels of tiles that are done are there for the job's owner while it runs, and for
// nobody afterwards.
func TestLabelsOfARunningJobAreHadByItsOwner(t *testing.T) {
	var goOn func()
	r := withKeysAnd(t, func(o *Options) { *o, goOn = halting(*o) })
	r.key = "user"
	j := r.submit(api.Submit{Model: modelID, Partial: true, Inputs: []api.Input{{Upload: r.upload(nifti(t, large)).ID}}})
	path := "/api/v1/jobs/" + j.ID + "/partial"
	var a *http.Response
	require.Eventually(t, func() bool {
		a = r.do("GET", path, nil)
		return a.StatusCode != http.StatusNoContent
	}, 2*time.Minute, 5*time.Millisecond)
	got, _, err := readnifti.DecodeLabels(bytes.NewReader(read(t, a, http.StatusOK)), "labels.nii.gz")
	require.NoError(t, err)
	assert.Equal(t, large, got.Shape)
	assert.Equal(t, servertest.Scan(large).Affine, got.Affine)
	want := firstPart(t, large)
	assert.NotEqual(t, make([]uint8, len(want)), want, "it says something")
	assert.Equal(t, want, got.Data)
	tag := a.Header.Get("ETag")
	require.NotEmpty(t, tag)
	assert.Equal(t, http.StatusNotModified, r.do("GET", path, nil, "If-None-Match", tag).StatusCode)
	for key, status := range map[string]int{"": 401, "other": 404, "viewer": 404, "admin": 200} {
		r.key = key
		assert.Equal(t, status, r.do("GET", path, nil).StatusCode, key)
	}
	r.key = "user"
	goOn()
	j = r.wait(j.ID)
	require.Equal(t, api.JobDone, j.State, "%+v", j.Failed)
	assert.Equal(t, labelsOf(t, large), r.result(j, "nifti"), "they change nothing")
	assert.Contains(t, refused(t, r.do("GET", path, nil), http.StatusNotFound).Detail, "is over")
	require.NoError(t, r.blobs.List(t.Context(), engine.ResultPrefix(j.ID), func(i blob.Info) error {
		assert.NotContains(t, i.Name, "partial", "nothing is left of them")
		return nil
	}))
}

func TestOfJobsThatDoNotWantThemThereAreNoPartialLabels(t *testing.T) {
	o, goOn := halting(testOptions(t))
	r := start(t, o)
	j := r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: r.upload(nifti(t, large)).ID}}})
	r.untilTiles(j.ID)
	read(t, r.do("GET", "/api/v1/jobs/"+j.ID+"/partial", nil), http.StatusNoContent)
	refused(t, r.do("GET", "/api/v1/jobs/none/partial", nil), http.StatusNotFound)
	goOn()
	r.wait(j.ID)
}

func TestACancelledJobLeavesNoPartialLabels(t *testing.T) {
	o, goOn := halting(testOptions(t))
	defer goOn()
	r := start(t, o)
	j := r.submit(api.Submit{Model: modelID, Partial: true, Inputs: []api.Input{{Upload: r.upload(nifti(t, large)).ID}}})
	r.untilTiles(j.ID)
	read(t, r.do("POST", "/api/v1/jobs/"+j.ID+"/cancel", nil), http.StatusOK)
	assert.Equal(t, api.JobCancelled, r.wait(j.ID).State)
	n := 0
	require.NoError(t, r.blobs.List(t.Context(), engine.ResultPrefix(j.ID), func(blob.Info) error { n++; return nil }))
	assert.Zero(t, n)
}
