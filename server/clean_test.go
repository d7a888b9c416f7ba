package server

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/blob"
)

func TestWhatHasExpiredIsDeleted(t *testing.T) {
	o := testOptions(t)
	r := start(t, o)
	s := r.tiny()
	j := r.wait(r.submit(s).ID)
	require.NoError(t, r.cleanRecords(t.Context(), time.Now()))
	require.Equal(t, http.StatusOK, r.do("GET", j.Results[0].URL, nil).StatusCode)
	require.NoError(t, r.cleanRecords(t.Context(), time.Now().Add(o.Bounds.Keep+time.Minute)))
	refused(t, r.do("GET", j.Results[0].URL, nil), http.StatusNotFound)
	refused(t, r.do("GET", "/api/v1/uploads/"+s.Inputs[0].Upload, nil), http.StatusNotFound)
	n := 0
	require.NoError(t, r.blobs.List(t.Context(), "", func(blob.Info) error { n++; return nil }))
	assert.Zero(t, n)
}

// Of more than are to be kept, the oldest go, with their results and uploads; what a job
// waits for stays.
func TestTheOldestGoWhereTooManyAreKept(t *testing.T) {
	o := testOptions(t)
	o.Bounds.Kept = 2
	r := start(t, o)
	var jobs []api.Job
	for range 4 {
		jobs = append(jobs, r.wait(r.submit(r.tiny()).ID))
	}
	r.engine.Drain(t.Context())
	waits := r.tiny()
	open := r.submit(waits)
	for range o.Bounds.Kept {
		r.tiny()
	}
	require.NoError(t, r.cleanRecords(t.Context(), time.Now()))
	for n, j := range jobs {
		if n < len(jobs)-o.Bounds.Kept {
			refused(t, r.do("GET", "/api/v1/jobs/"+j.ID, nil), http.StatusNotFound)
			refused(t, r.do("GET", j.Results[0].URL, nil), http.StatusNotFound)
		} else {
			assert.Equal(t, http.StatusOK, r.do("GET", j.Results[0].URL, nil).StatusCode)
		}
		refused(t, r.do("GET", "/api/v1/uploads/"+j.Submit.Inputs[0].Upload, nil), http.StatusNotFound)
	}
	assert.Equal(t, api.JobQueued, r.job(open.ID).State)
	assert.Equal(t, http.StatusOK, r.do("GET", "/api/v1/uploads/"+waits.Inputs[0].Upload, nil).StatusCode)
	assert.Len(t, decode[[]api.Upload](t, r.do("GET", "/api/v1/uploads", nil), http.StatusOK), o.Bounds.Kept+1)
}

// Lists have pages: none is left out, none comes twice.
func TestListsHavePages(t *testing.T) {
	o := testOptions(t)
	o.Devices = nil
	r := start(t, o)
	var uploads, jobs []string
	for range 5 {
		s := r.tiny()
		uploads = append(uploads, s.Inputs[0].Upload)
		jobs = append(jobs, r.submit(s).ID)
	}
	slices.Reverse(uploads)
	slices.Reverse(jobs)
	for _, limit := range []int{1, 2, 5, 100} {
		var have []string
		for after := ""; ; after = have[len(have)-1] {
			page := decode[[]api.Upload](t, r.do("GET", fmt.Sprintf("/api/v1/uploads?limit=%d&after=%s", limit, after), nil), http.StatusOK)
			if len(page) == 0 {
				break
			}
			require.LessOrEqual(t, len(page), limit)
			for _, u := range page {
				have = append(have, u.ID)
			}
		}
		assert.Equal(t, uploads, have)
		have = nil
		for after, more := "", true; more; more = after != "" {
			page := decode[api.JobList](t, r.do("GET", fmt.Sprintf("/api/v1/jobs?limit=%d&after=%s", limit, after), nil), http.StatusOK)
			require.LessOrEqual(t, len(page.Jobs), limit)
			for _, j := range page.Jobs {
				have = append(have, j.ID)
			}
			after = page.Next
		}
		assert.Equal(t, jobs, have)
	}
	for _, query := range []string{"limit=-1", "limit=0", "limit=1001", "after=nothing"} {
		for _, list := range []string{"uploads?", "jobs?"} {
			status := http.StatusUnprocessableEntity
			if strings.HasPrefix(query, "after") {
				status = http.StatusNotFound
			}
			refused(t, r.do("GET", "/api/v1/"+list+query, nil), status)
		}
	}
}

// What a killed server left of uploads is gone before the first request can begin one.
func TestLeftPartsAreSweptBeforeTheFirstRequest(t *testing.T) {
	o := testOptions(t)
	left := filepath.Join(o.Data, "uploads", "left.part")
	require.NoError(t, os.MkdirAll(filepath.Dir(left), 0o777))
	require.NoError(t, os.WriteFile(left, []byte("x"), 0o666))
	start(t, o)
	assert.NoFileExists(t, left)
}
