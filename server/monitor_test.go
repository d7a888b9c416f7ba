package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
)

// A server without devices shows what happens to its jobs and which workers there are;
// a worker shows what its devices do.
func TestWhatWorkersElsewhereDoIsShown(t *testing.T) {
	o, _ := elsewhere(t)
	r := start(t, o)
	has := func(line string) bool {
		return strings.Contains(string(read(t, r.do("GET", "/metrics", nil), http.StatusOK)), line+"\n")
	}
	ready := func() string { return string(read(t, r.do("GET", "/readyz", nil), http.StatusOK)) }
	soon := func(is func() bool) { t.Helper(); require.Eventually(t, is, 2*time.Minute, 5*time.Millisecond) }
	assert.Contains(t, ready(), "no worker is there")
	assert.True(t, has("gounet_workers 0"))

	q, err := queue.Open(t.Context(), queue.Options{URL: o.NATS, AckWait: o.AckWait, Worker: "far"})
	require.NoError(t, err)
	defer func() { assert.NoError(t, q.Close()) }()
	models, err := engine.OpenModels(t.Context(), o.Models, filepath.Join(t.TempDir(), "models"))
	require.NoError(t, err)
	var e *engine.Engine
	m := NewMonitor(func() []api.ServerDevice { return e.Devices() }, q.Check)
	all := complete(Options{})
	e, err = engine.Start(engine.Options{
		Queue: q, Blobs: o.Blobs, Models: models, Devices: all.Devices, Work: filepath.Join(t.TempDir(), "work"), Formats: all.Formats, Log: r.o.Log, Observe: m,
	})
	require.NoError(t, err)
	soon(func() bool { return has("gounet_workers 1") })
	assert.Equal(t, "ready\n", ready())
	info := decode[api.Info](t, r.do("GET", "/api/v1/info", nil), http.StatusOK)
	require.Len(t, info.Devices, 1)
	assert.Equal(t, "far", info.Devices[0].Worker)

	require.Equal(t, api.JobDone, r.wait(r.submit(r.tiny()).ID).State)
	failed := r.wait(r.submit(api.Submit{Model: modelID, Inputs: []api.Input{{Upload: r.upload([]byte("no scan")).ID}}}).ID)
	require.Equal(t, api.FailedScan, failed.Failed.Code)
	for _, line := range []string{
		`gounet_jobs_ended_total{code="",state="done"} 1`, `gounet_jobs_ended_total{code="scan",state="failed"} 1`,
		"gounet_job_wait_seconds_count 2", "gounet_job_run_seconds_count 2", "gounet_tiles_total 0",
	} {
		assert.True(t, has(line), line)
	}
	answer := func(path string, status int) string {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		assert.Equal(t, status, w.Code, path)
		return w.Body.String()
	}
	text := answer("/metrics", http.StatusOK)
	assert.Contains(t, text, `gounet_job_stage_seconds_count{stage="segment"} 1`)
	assert.Contains(t, text, `gounet_device_up{device="0 `)
	assert.Regexp(t, `(?m)^gounet_tiles_total [1-9]`, text)
	assert.Equal(t, "alive\n", answer("/healthz", http.StatusOK))
	assert.Equal(t, "ready\n", answer("/readyz", http.StatusOK))
	answer("/api/v1/jobs", http.StatusNotFound)

	e.Drain(t.Context())
	soon(func() bool { return has("gounet_workers 0") })
	assert.Contains(t, ready(), "no worker is there")
	gone := NewMonitor(func() []api.ServerDevice { return nil }, func(context.Context) error { return errors.New("no device") })
	w := httptest.NewRecorder()
	gone.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/readyz", nil))
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Equal(t, "not ready: no device\n", w.Body.String())
}
