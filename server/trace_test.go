package server

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/engine"
)

// A job leaves a span a stage under its id, a request one that names its route and
// nothing of its address.
func TestRequestsAndStagesAreTraced(t *testing.T) {
	var mu sync.Mutex
	stages, requests := map[string]engine.Span{}, map[string]engine.Span{}
	o := testOptions(t)
	o.Trace = func(s engine.Span) {
		mu.Lock()
		defer mu.Unlock()
		if s.Job != "" {
			stages[s.Name] = s
		} else {
			requests[s.Name] = s
		}
	}
	r := start(t, o)
	j := r.wait(r.submit(r.tiny()).ID)
	require.Equal(t, api.JobDone, j.State)
	refused(t, r.do("GET", "/api/v1/jobs/secret", nil, "Traceparent", "of-the-client"), 404)
	r.stop()
	for _, name := range []string{api.StageRead, api.StagePreprocess, "model", api.StageSegment, api.StageWrite, "job"} {
		require.Contains(t, stages, name)
		assert.Equal(t, j.ID, stages[name].Job)
		assert.Positive(t, stages[name].Took)
	}
	assert.Equal(t, api.JobDone, stages["job"].Facts["state"])
	assert.Equal(t, "201", requests["POST /api/v1/jobs"].Facts["http.response.status_code"])
	s := requests["GET /api/v1/jobs/:id"]
	assert.Equal(t, "of-the-client", s.In)
	assert.False(t, s.Bad, "it is the client's fault")
}
