package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	cpu "github.com/gounet/gounet/backend_cpu"
	"github.com/gounet/gounet/core/backend"
	"github.com/gounet/gounet/core/checkpoint"
	"github.com/gounet/gounet/core/plan"
	"github.com/gounet/gounet/core/predict"
	"github.com/gounet/gounet/core/scan"
	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/servertest"
)

// small is the shape of the scan of most tests, and modelID the name of its model.
var small = [3]int{12, 10, 9}

const modelID = "tiny"

// testOptions are those of a server in a folder of its own.
func testOptions(t testing.TB) Options {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "models"), 0o777))
	require.NoError(t, checkpoint.Save(filepath.Join(dir, "models", modelID+checkpoint.Extension), servertest.Model()))
	o := Options{Data: filepath.Join(dir, "data"), Models: filepath.Join(dir, "models"), Bounds: DefaultBounds(), AckWait: 2 * time.Second}
	o.Bounds.Reserve, o.Bounds.Rate = 0, 0
	return complete(o)
}

// complete adds what cannot be handed to another process.
func complete(o Options) Options {
	o.Version = "test"
	o.Devices = []engine.Device{{Name: "cpu", Open: func() (backend.Device, error) { return cpu.Open(cpu.Options{Workers: 1}), nil }}}
	o.Formats = func(*api.Submit, *plan.Plan, []byte) []scan.Format { return scan.Formats() }
	o.FormatNames = []string{"nifti", "seg.nrrd", "nrrd", "mha", "mgz", "png", "tiff"}
	return o
}

// plainOptions are those that can.
type plainOptions struct {
	Data, Models string
	Bounds       Bounds
	AckWait      time.Duration
	Attempts     int
	NATS, Blobs  string
	Worker       bool
	Halt         string // a file: while it is there, a worker's device stops in the middle of a job
}

// running is a server with a client.
type running struct {
	*Server
	t    testing.TB
	web  *httptest.Server
	key  string
	stop func()
}

func start(t testing.TB, o Options) *running {
	t.Helper()
	s, err := New(t.Context(), o)
	require.NoError(t, err)
	r := &running{Server: s, t: t, web: httptest.NewServer(s.Handler())}
	stopped := false
	r.stop = func() {
		if !stopped {
			stopped = true
			r.web.CloseClientConnections()
			r.web.Close()
			require.NoError(t, s.Close())
		}
	}
	t.Cleanup(r.stop)
	return r
}

// do sends a request; header is pairs.
func (r *running) do(method, path string, body []byte, header ...string) *http.Response {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Minute) // a stream that hangs fails where it is read
	r.t.Cleanup(cancel)
	q, err := http.NewRequestWithContext(ctx, method, r.web.URL+path, bytes.NewReader(body))
	require.NoError(r.t, err)
	if r.key != "" {
		q.Header.Set("Authorization", "Bearer "+r.key)
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultTransport.RoundTrip(q)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = a.Body.Close() })
	return a
}

// read wants a status and returns the body.
func read(t testing.TB, a *http.Response, status int) []byte {
	t.Helper()
	b, err := io.ReadAll(a.Body)
	require.NoError(t, err)
	require.Equal(t, status, a.StatusCode, "%s", b)
	return b
}

func decode[T any](t testing.TB, a *http.Response, status int) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(read(t, a, status), &v))
	return v
}

// refused wants a problem and returns it.
func refused(t testing.TB, a *http.Response, status int) api.Problem {
	t.Helper()
	p := decode[api.Problem](t, a, status)
	assert.Equal(t, "application/problem+json", a.Header.Get("Content-Type"))
	assert.Equal(t, status, p.Status)
	assert.Greater(t, len(p.Detail), 20, "a sentence")
	return p
}

// nifti is a scan as a file.
func nifti(t testing.TB, shape [3]int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scan.nii.gz")
	require.NoError(t, scan.WriteImage(path, servertest.Scan(shape), nil))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

func (r *running) upload(b []byte) api.Upload {
	r.t.Helper()
	return decode[api.Upload](r.t, r.do("POST", "/api/v1/uploads?name=scan.nii.gz", b), http.StatusCreated)
}

func (r *running) submit(s api.Submit, header ...string) api.Job {
	r.t.Helper()
	b, err := json.Marshal(s)
	require.NoError(r.t, err)
	a := r.do("POST", "/api/v1/jobs", b, header...)
	status := http.StatusCreated
	if a.StatusCode == http.StatusOK { // submitted before
		status = http.StatusOK
	}
	return decode[api.Job](r.t, a, status)
}

func (r *running) job(id string) api.Job {
	r.t.Helper()
	return decode[api.Job](r.t, r.do("GET", "/api/v1/jobs/"+id, nil), http.StatusOK)
}

// wait follows a job by its events until it is over.
func (r *running) wait(id string) api.Job {
	r.t.Helper()
	events := readEvents(r.t, r.do("GET", "/api/v1/jobs/"+id+"/events", nil))
	require.NotEmpty(r.t, events)
	var j api.Job
	require.NoError(r.t, json.Unmarshal(events[len(events)-1].data, &j))
	require.True(r.t, api.JobOver(j.State), "the stream ends with the job")
	return j
}

type sse struct {
	id, name string
	data     []byte
}

func readEvents(t testing.TB, a *http.Response) (out []sse) {
	t.Helper()
	for block := range strings.SplitSeq(string(read(t, a, http.StatusOK)), "\n\n") {
		var e sse
		for line := range strings.SplitSeq(block, "\n") {
			field, value, _ := strings.Cut(line, ": ")
			switch field {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = []byte(value)
			}
		}
		if e.name != "" {
			out = append(out, e)
		}
	}
	return out
}

// labelsOf is what the library makes of the scan without a server.
func labelsOf(t testing.TB, shape [3]int) []uint8 {
	t.Helper()
	return labelsBy(t, servertest.Model(), shape)
}

// labelsBy is labelsOf of another model.
func labelsBy(t testing.TB, m *checkpoint.Model, shape [3]int) []uint8 {
	t.Helper()
	return labelsWith(t, m, predict.Options{}, shape)
}

// labelsWith is labelsBy with options but for the device.
func labelsWith(t testing.TB, m *checkpoint.Model, o predict.Options, shape [3]int) []uint8 {
	t.Helper()
	dev := cpu.Open(cpu.Options{Workers: 1})
	defer func() { require.NoError(t, dev.Close()) }()
	o.Device = dev
	p, err := predict.New(m, o)
	require.NoError(t, err)
	defer p.Close()
	r, err := p.Image(t.Context(), servertest.Scan(shape), predict.ImageOptions{})
	require.NoError(t, err)
	return r.Labels.Data
}

// result reads the label map of a job.
func (r *running) result(j api.Job, format string) []uint8 {
	r.t.Helper()
	for _, f := range j.Results {
		if f.Format == format {
			path := filepath.Join(r.t.TempDir(), f.Name)
			b := read(r.t, r.do("GET", f.URL, nil), http.StatusOK)
			assert.EqualValues(r.t, f.Bytes, len(b))
			require.NoError(r.t, os.WriteFile(path, b, 0o666))
			l, err := scan.ReadLabels(path)
			require.NoError(r.t, err)
			return l.Data
		}
	}
	require.Fail(r.t, "no result", "%s in %v", format, j.Results)
	return nil
}

func TestAJobHasTheLabelsOfTheLibrary(t *testing.T) {
	r := start(t, testOptions(t))
	u := r.upload(nifti(t, small))
	j := r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: u.ID}}, Formats: []string{"nifti", "seg.nrrd"}, Statistics: true, Preview: true})
	j = r.wait(j.ID)
	require.Equal(t, api.JobDone, j.State, "%+v", j.Failed)
	want := labelsOf(t, small)
	assert.Equal(t, want, r.result(j, "nifti"))
	assert.Equal(t, want, r.result(j, "seg.nrrd"))
	assert.Len(t, j.Results, 5)
	assert.Equal(t, 1, j.Attempts)
	voxels := 0
	for _, l := range want {
		if l == 1 {
			voxels++
		}
	}
	assert.Equal(t, voxels, j.Labels[0].Voxels)
	assert.Equal(t, small, j.Grid.Shape)
	assert.Positive(t, j.Memory.DeviceBytes)
}
