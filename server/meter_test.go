package server

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/queue"
)

// What /metrics says has the names and texts that Prometheus' own linter wants and
// counts what a job was.
func TestMetricsAreThoseOfPrometheus(t *testing.T) {
	r := start(t, testOptions(t))
	require.Equal(t, api.JobDone, r.wait(r.submit(r.tiny()).ID).State)
	read(t, r.do("GET", "/api/v1/nothing/with/a/name", nil), http.StatusNotFound)
	var b []byte
	missing := func() (lines []string) {
		b = read(t, r.do("GET", "/metrics", nil), http.StatusOK)
		for _, line := range []string{
			`gounet_jobs{state="done"} 1`, `gounet_jobs{state="queued"} 0`, "gounet_jobs_dead 0",
			`gounet_jobs_ended_total{code="",state="done"} 1`, "gounet_job_wait_seconds_count 1", "gounet_job_run_seconds_count 1",
			`gounet_job_stage_seconds_count{stage="segment"} 1`, `gounet_device_memory_bytes{device="0 `, `gounet_device_up{device="0 `, "gounet_tiles_total ",
		} {
			if !bytes.Contains(b, []byte(line)) {
				lines = append(lines, line)
			}
		}
		return lines
	}
	require.Eventually(t, func() bool { return len(missing()) == 0 }, 2*time.Minute, time.Millisecond, "a job that is over is counted a moment later")
	assert.Positive(t, decode[api.Info](t, r.do("GET", "/api/v1/info", nil), http.StatusOK).JobSeconds, "by which a page says when the next one begins")
	problems, err := promlint.New(bytes.NewReader(b)).Lint()
	require.NoError(t, err)
	assert.Empty(t, problems)
	assert.NotContains(t, string(b), "with/a/name", "routes, not addresses")
}

// The median follows what jobs are like now.
func TestTheMedianIsThatOfTheLastJobs(t *testing.T) {
	m := newMeter(&Server{})
	assert.Zero(t, m.last.median())
	begun := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	end := func(state string, seconds int) {
		over := begun.Add(time.Duration(seconds) * time.Second)
		m.over(&queue.Record{Job: api.Job{State: state, Created: begun, Started: &begun, Finished: &over}})
	}
	for _, s := range []int{30, 10, 20} {
		end(api.JobDone, s)
	}
	end(api.JobFailed, 1)
	m.over(&queue.Record{Job: api.Job{State: api.JobCancelled}})
	assert.InDelta(t, 20, m.last.median(), 1e-9, "of those that were done")
	for range mostTimes {
		end(api.JobDone, 40)
	}
	assert.InDelta(t, 40, m.last.median(), 1e-9)
}
