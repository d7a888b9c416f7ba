package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
)

func TestASecondSubmitOfAKeyIsTheFirst(t *testing.T) {
	r := start(t, testOptions(t))
	s := api.Submit{Model: modelID, Inputs: []api.Input{{Upload: r.upload(nifti(t, small)).ID}}}
	first := r.submit(s, "Idempotency-Key", "k")
	assert.Equal(t, first.ID, r.submit(s, "Idempotency-Key", "k").ID)
	assert.NotEqual(t, first.ID, r.submit(s, "Idempotency-Key", "other").ID)
	s.Preview = true
	b, err := json.Marshal(s)
	require.NoError(t, err)
	refused(t, r.do("POST", "/api/v1/jobs", b, "Idempotency-Key", "k"), http.StatusUnprocessableEntity)
	assert.Equal(t, api.JobDone, r.wait(first.ID).State)
	s.Preview = false
	assert.Equal(t, first.ID, r.submit(s, "Idempotency-Key", "k").ID, "after its end, too")
	assert.Equal(t, 1, r.job(first.ID).Attempts)
}

func tusCreate(r *running, length int) string {
	name := "filename " + base64.StdEncoding.EncodeToString([]byte("scan.nii.gz"))
	a := r.do("POST", tusPath, nil, "Tus-Resumable", tusVersion, "Upload-Length", strconv.Itoa(length), "Upload-Metadata", name)
	read(r.t, a, http.StatusCreated)
	return a.Header.Get("Location")
}

func TestAnUploadGoesOnWhereItStopped(t *testing.T) {
	o := testOptions(t)
	r := start(t, o)
	b := nifti(t, small)
	at := tusCreate(r, len(b))
	half := len(b) / 2
	patch := func(offset int, body []byte) *http.Response {
		return r.do("PATCH", at, body, "Tus-Resumable", tusVersion, "Upload-Offset", strconv.Itoa(offset), "Content-Type", tusType)
	}
	read(t, patch(0, b[:half]), http.StatusNoContent)
	refused(t, patch(0, b[:half]), http.StatusConflict)
	refused(t, patch(half, append(b[half:], 1)), http.StatusRequestEntityTooLarge)
	id := at[len(tusPath)+1:]
	body, err := json.Marshal(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: id}}})
	require.NoError(t, err)
	refused(t, r.do("POST", "/api/v1/jobs", body), http.StatusConflict)

	r.stop()
	r = start(t, o) // another process
	head := r.do("HEAD", at, nil, "Tus-Resumable", tusVersion)
	require.Equal(t, http.StatusOK, head.StatusCode)
	assert.Equal(t, strconv.Itoa(half), head.Header.Get("Upload-Offset"))
	last := patch(half, b[half:])
	read(t, last, http.StatusNoContent)
	assert.Equal(t, strconv.Itoa(len(b)), last.Header.Get("Upload-Offset"))
	assert.Equal(t, api.JobDone, r.wait(r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: id}}}).ID).State)

	read(t, r.do("DELETE", at, nil, "Tus-Resumable", tusVersion), http.StatusNoContent)
	head = r.do("HEAD", at, nil, "Tus-Resumable", tusVersion)
	assert.Equal(t, http.StatusNotFound, head.StatusCode)
	refused(t, r.do("POST", tusPath, nil), http.StatusPreconditionFailed)
}

// A job that is large enough to be met while it runs.
var large = [3]int{40, 40, 40}

// untilTiles waits until a job runs and tells progress.
func (r *running) untilTiles(id string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		j := r.job(id)
		return j.Progress != nil && j.Progress.Stage == api.StageSegment || api.JobOver(j.State)
	}, 2*time.Minute, 5*time.Millisecond)
}

func TestCancelEndsAJobWithinASubmit(t *testing.T) {
	o, goOn := halting(testOptions(t))
	r := start(t, o)
	u := r.upload(nifti(t, large)).ID
	s := api.Submit{Model: modelID, Inputs: []api.Input{{Upload: u}}}
	runs, waits := r.submit(s), r.submit(s)
	waits2 := r.submit(s)
	r.untilTiles(runs.ID)
	refused(t, r.do("DELETE", "/api/v1/jobs/"+runs.ID, nil), http.StatusConflict)
	refused(t, r.do("DELETE", "/api/v1/uploads/"+u, nil), http.StatusConflict)
	assert.Equal(t, api.JobCancelled, decode[api.Job](t, r.do("POST", "/api/v1/jobs/"+waits2.ID+"/cancel", nil), 200).State, "at once where it waits")
	decode[api.Job](t, r.do("POST", "/api/v1/jobs/"+runs.ID+"/cancel", nil), 200)
	j := r.wait(runs.ID)
	assert.Equal(t, api.JobCancelled, j.State)
	assert.Empty(t, j.Results)
	assert.Equal(t, api.FailedCancelled, j.Failed.Code)
	goOn()
	assert.Equal(t, api.JobDone, r.wait(waits.ID).State, "the next one runs")
	read(t, r.do("DELETE", "/api/v1/jobs/"+runs.ID, nil), http.StatusNoContent)
	refused(t, r.do("GET", "/api/v1/jobs/"+runs.ID, nil), http.StatusNotFound)
}

func TestEventsGoOnBehindTheLastOne(t *testing.T) {
	o, goOn := halting(testOptions(t))
	r := start(t, o)
	j := r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: r.upload(nifti(t, large)).ID}}})
	stream := r.do("GET", "/api/v1/jobs/"+j.ID+"/events", nil)
	goOn()
	all := readEvents(t, stream)
	names := map[string]int{}
	for _, e := range all {
		names[e.name]++
	}
	assert.Positive(t, names[api.EventProgress])
	assert.GreaterOrEqual(t, names[api.EventJob], 2)
	var p api.Progress
	for _, e := range all {
		if e.name == api.EventProgress {
			require.NoError(t, json.Unmarshal(e.data, &p))
			if p.Stage == api.StageSegment {
				assert.LessOrEqual(t, p.Done, p.Of)
			}
		}
	}
	again := readEvents(t, r.do("GET", "/api/v1/jobs/"+j.ID+"/events", nil, "Last-Event-ID", all[0].id))
	require.Len(t, again, 1, "over: the job as it is")
	assert.Contains(t, string(again[0].data), `"state":"done"`)

	s := api.Submit{Model: modelID, Inputs: j.Submit.Inputs}
	j = r.submit(s)
	r.untilTiles(j.ID)
	known := r.queue.Hub.Now()
	rest := readEvents(t, r.do("GET", "/api/v1/jobs/"+j.ID+"/events", nil, "Last-Event-ID", known))
	require.NotEmpty(t, rest)
	var first api.Job
	if rest[0].name == api.EventJob {
		require.NoError(t, json.Unmarshal(rest[0].data, &first))
		assert.NotEqual(t, api.JobQueued, first.State, "nothing is told again")
	}
	strangers := readEvents(t, r.do("GET", "/api/v1/jobs/"+j.ID+"/events", nil, "Last-Event-ID", "other-1"))
	assert.Equal(t, api.EventJob, strangers[0].name, "of another process: the job as it is")
}

func TestProblemsSayWhatToDo(t *testing.T) {
	o, _ := halting(testOptions(t)) // the job of "full" is not over
	o.Bounds.UploadBytes, o.Bounds.Jobs = 1<<20, 1
	r := start(t, o)
	u := r.upload(nifti(t, large)).ID
	submit := func(s api.Submit) *http.Response {
		b, err := json.Marshal(s)
		require.NoError(t, err)
		return r.do("POST", "/api/v1/jobs", b)
	}
	in := []api.Input{{Upload: u}}
	for name, c := range map[string]struct {
		answer *http.Response
		status int
		says   string
	}{
		"no address":         {r.do("GET", "/api/v1/nothing", nil), 404, "/api"},
		"method":             {r.do("PUT", "/api/v1/jobs", nil), 405, "method"},
		"no job":             {r.do("GET", "/api/v1/jobs/abc", nil), 404, "none of this id"},
		"no upload":          {submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: "x"}}}), 404, "upload"},
		"no model":           {submit(api.Submit{Model: "../../etc", Inputs: in}), 404, "model"},
		"no inputs":          {submit(api.Submit{Model: modelID}), 422, "0 inputs"},
		"format":             {submit(api.Submit{Model: modelID, Inputs: in, Formats: []string{"exe"}}), 422, "nifti"},
		"step":               {submit(api.Submit{Model: modelID, Inputs: in, Step: 1e-9}), 422, "0.1"},
		"priority":           {submit(api.Submit{Model: modelID, Inputs: in, Priority: "first"}), 422, "normal"},
		"archive":            {submit(api.Submit{Model: modelID, Inputs: []api.Input{{Dicomweb: &api.DICOMwebInput{Archive: "x"}}}}), 422, "archive"},
		"twice":              {submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: u}, {Upload: u}}}), 422, "twice"},
		"series":             {submit(api.Submit{Model: modelID, Inputs: in, Series: []string{strings.Repeat("1", 256)}}), 422, "255"},
		"key":                {r.do("POST", "/api/v1/jobs", []byte(`{}`), "Idempotency-Key", strings.Repeat("k", 256)), 422, "255"},
		"two bodies":         {r.do("POST", "/api/v1/jobs", []byte(`{} {}`)), 422, "behind"},
		"state":              {r.do("GET", "/api/v1/jobs?state=frog", nil), 422, "queued"},
		"no number":          {r.do("GET", "/api/v1/jobs?limit=x", nil), 400, "parameter limit"},
		"both":               {submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: u, Dicomweb: &api.DICOMwebInput{}}}}), 422, "either"},
		"no JSON":            {r.do("POST", "/api/v1/jobs", []byte("<xml>")), 422, "Submit"},
		"unknown field":      {r.do("POST", "/api/v1/jobs", []byte(`{"net":"x"}`)), 422, "net"},
		"large body":         {r.do("POST", "/api/v1/jobs", []byte(`{"model":"`+strings.Repeat("x", mostSubmit)+`"}`)), 413, "larger"},
		"large file":         {r.do("POST", "/api/v1/uploads?name=a.nii", make([]byte, 1<<20+1)), 413, "1 MiB"},
		"empty file":         {r.do("POST", "/api/v1/uploads?name=a.nii", nil), 422, "empty"},
		"name out of folder": {r.do("POST", "/api/v1/uploads?name=..%2F..%2Fa.nii", []byte("x")), 422, "plain relative path"},
		"no name":            {r.do("POST", "/api/v1/uploads", []byte("x")), 400, "name"},
		"limit":              {r.do("GET", "/api/v1/jobs?limit=100000", nil), 422, "1000"},
		"result out of job":  {r.do("GET", "/api/v1/jobs/x/results/..%2f..%2fworker", nil), 404, ""},
		"page out of folder": {r.do("GET", "/..%2f..%2fetc/passwd", nil), 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Contains(t, refused(t, c.answer, c.status).Detail, c.says)
		})
	}
	read(t, submit(api.Submit{Model: modelID, Inputs: in}), http.StatusCreated)
	full := submit(api.Submit{Model: modelID, Inputs: in})
	refused(t, full, http.StatusTooManyRequests)
	assert.NotEmpty(t, full.Header.Get("Retry-After"))
}

// What is no scan ends its job with a reason, and nothing else.
func TestHostileFilesEndTheirJobOnly(t *testing.T) {
	o := testOptions(t)
	o.Bounds.VolumeBytes, o.Bounds.HostBytes = 1<<20, 1<<24
	r := start(t, o)
	good := nifti(t, small)
	bomb := nifti(t, [3]int{100, 100, 100})
	for name, c := range map[string]struct {
		file []byte
		name string
		code string
	}{
		"noise":         {[]byte(strings.Repeat("gounet", 1000)), "a.nii.gz", api.FailedScan},
		"cut":           {good[:len(good)/2], "a.nii.gz", api.FailedScan},
		"zip of noise":  {append([]byte("PK\x03\x04"), make([]byte, 5000)...), "a.zip", api.FailedScan},
		"a bomb":        {bomb, "a.nii.gz", api.FailedMemory},
		"shape of lies": {lies(), "a.nii", ""},
	} {
		t.Run(name, func(t *testing.T) {
			u := decode[api.Upload](t, r.do("POST", "/api/v1/uploads?name="+c.name, c.file), http.StatusCreated)
			j := r.wait(r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: u.ID}}}).ID)
			require.Equal(t, api.JobFailed, j.State)
			if c.code != "" {
				assert.Equal(t, c.code, j.Failed.Code, j.Failed.Reason)
			}
			assert.NotEmpty(t, j.Failed.Do)
			assert.Equal(t, 1, j.Attempts, "trying again does not help")
		})
	}
	j := r.wait(r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: r.upload(good).ID}}}).ID)
	assert.Equal(t, api.JobDone, j.State)
}

// lies is a NIfTI header that promises 32767³ voxels.
func lies() []byte {
	b := make([]byte, 352)
	b[0], b[1] = 0x5c, 1 // 348
	b[40] = 3
	for i := range 3 {
		b[42+2*i], b[43+2*i] = 0xff, 0x7f
	}
	b[70], b[72] = 16, 32 // float32
	for i := range 4 {
		copy(b[76+4*i:], []byte{0, 0, 0x80, 0x3f})
	}
	copy(b[108:], []byte{0, 0, 0xb0, 0x43}) // 352
	copy(b[344:], "n+1\x00")
	return b
}
