package server

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/core/volume"
	"github.com/gounet/gounet/internal/api"
)

// A format that cannot be written of a scan is known before anything is computed.
func TestAFormatThatDoesNotFitIsRefusedBeforeTheWork(t *testing.T) {
	var runs atomic.Int32
	r, _ := withDevice(t, func() error {
		runs.Add(1)
		return nil
	})
	s := r.tiny()
	s.Formats = []string{"nifti", "png", "seg.nrrd"}
	j := r.wait(r.submit(s).ID)
	require.Equal(t, api.JobFailed, j.State)
	assert.Equal(t, api.FailedRequest, j.Failed.Code)
	assert.Equal(t, "scan: format png holds one slice, and the scan has [12 10 9] voxels (D H W): choose another format", j.Failed.Reason)
	assert.Zero(t, runs.Load())
	s.Formats = []string{"nifti", "seg.nrrd"}
	assert.Equal(t, api.JobDone, r.wait(r.submit(s).ID).State)
	assert.Positive(t, runs.Load())
}

// What a job says of itself has no folders of the server.
func TestTheReasonOfAFailureHasNoPaths(t *testing.T) {
	o := testOptions(t)
	o.Formats = func(*api.Submit, *plan.Plan, []byte) []scan.Format {
		all := slices.Clone(scan.Formats())
		all[0].Write = func(path string, _ *scan.Scan, _ *volume.Labels, _ []scan.Segment) error {
			return fmt.Errorf("test: %s: no room between the tracks", path)
		}
		return all
	}
	r := start(t, o)
	j := r.wait(r.submit(r.tiny()).ID)
	require.Equal(t, api.JobFailed, j.State)
	assert.Equal(t, "test: scan.nii.gz: no room between the tracks", j.Failed.Reason)
}

// A stack of TIFF has its spacing in a file of its own, which is a result, too.
func TestASpacingBesideLabelsIsAResult(t *testing.T) {
	r := start(t, testOptions(t))
	s := r.tiny()
	s.Formats = []string{"tiff"}
	j := r.wait(r.submit(s).ID)
	require.Equal(t, api.JobDone, j.State)
	var got []string
	for _, f := range j.Results {
		got = append(got, f.Name+" "+f.Format+" "+f.MediaType)
	}
	assert.Equal(t, []string{"scan.tif tiff image/tiff", "scan.json tiff.json application/json"}, got)
}
