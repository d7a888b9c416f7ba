//go:build otel

package main

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/gounet/gounet/server/engine"
)

// Spans arrive at a collector: a request in its client's trace, stages of a job in
// the trace of its id.
func TestTracesArrive(t *testing.T) {
	got := map[string]*tracepb.Span{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		var q collector.ExportTraceServiceRequest
		assert.NoError(t, proto.Unmarshal(b, &q))
		assert.Equal(t, "/v1/traces", r.URL.Path)
		for _, one := range q.ResourceSpans {
			for _, scope := range one.ScopeSpans {
				for _, s := range scope.Spans {
					got[s.Name] = s
				}
			}
		}
	}))
	defer web.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", web.URL)
	trace, flush, err := tracer(t.Context())
	require.NoError(t, err)
	begun := time.Unix(1700000000, 5)
	const job, client = "00112233445566778899aabbccddeeff", "0af7651916cd43dd8448eb211c80319c"
	trace(engine.Span{Name: "segment", Job: job, Begun: begun, Took: time.Second, Bad: true})
	trace(engine.Span{Name: "GET /api/v1/jobs/:id", In: "00-" + client + "-b7ad6b7169203331-01", Begun: begun, Took: time.Millisecond, Facts: map[string]string{"request_id": "x"}})
	flush()
	require.Len(t, got, 2)
	s := got["segment"]
	assert.Equal(t, job, hex.EncodeToString(s.TraceId))
	assert.EqualValues(t, begun.UnixNano(), s.StartTimeUnixNano)
	assert.EqualValues(t, begun.Add(time.Second).UnixNano(), s.EndTimeUnixNano)
	assert.Equal(t, tracepb.Status_STATUS_CODE_ERROR, s.Status.GetCode())
	s = got["GET /api/v1/jobs/:id"]
	assert.Equal(t, client, hex.EncodeToString(s.TraceId))
	assert.Equal(t, "request_id", s.Attributes[0].Key)
}

func TestNoTracesWithoutAnAddress(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
	trace, flush, err := tracer(t.Context())
	require.NoError(t, err)
	assert.Nil(t, trace)
	flush()
}
