package server

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// inferBody is a KServe request of zeros of a shape, with the length of its JSON.
func inferBody(t *testing.T, shape [3]int) (body []byte, head string) {
	t.Helper()
	size := 4 * shape[0] * shape[1] * shape[2]
	b, err := json.Marshal(map[string]any{"inputs": []any{map[string]any{
		"name": "image", "datatype": "FP32", "shape": shape, "parameters": map[string]any{"binary_data_size": size},
	}}})
	require.NoError(t, err)
	return append(b, make([]byte, size)...), strconv.Itoa(len(b))
}

// Tensors that are announced and do not come keep nobody waiting.
func TestSlowTensorsKeepNobodyWaiting(t *testing.T) {
	o := testOptions(t)
	o.Bounds.HostBytes = tensorShare << 20 // of which each slow request announces most
	r := start(t, o)
	slow, head := inferBody(t, [3]int{32, 64, 60})
	var senders []*io.PipeWriter
	for range 3 {
		body, send := io.Pipe()
		senders = append(senders, send)
		q, err := http.NewRequestWithContext(t.Context(), "POST", r.web.URL+"/v2/models/"+modelID+"/infer", body)
		require.NoError(t, err)
		q.ContentLength = int64(len(slow))
		q.Header.Set(headerLength, head)
		go func() {
			if a, err := http.DefaultTransport.RoundTrip(q); err == nil {
				_ = a.Body.Close()
			}
		}()
		n, err := strconv.Atoi(head)
		require.NoError(t, err)
		_, err = send.Write(slow[:n+100])
		require.NoError(t, err)
	}
	body, head := inferBody(t, small)
	answered := make(chan int, 1)
	go func() {
		answered <- r.do("POST", "/v2/models/"+modelID+"/infer", body, headerLength, head).StatusCode
	}()
	select {
	case status := <-answered:
		assert.Equal(t, http.StatusOK, status)
	case <-time.After(20 * time.Second): // the bodies' patience is 30 s
		assert.Fail(t, "it waits for others")
	}
	for _, send := range senders {
		require.NoError(t, send.Close())
	}
}

// Who finds no memory is told so soon: at once where it is the user's own requests that
// have it.
func TestMemoryOfTensorsIsRefusedSoon(t *testing.T) {
	s := &Server{tensors: newTensors(Bounds{HostBytes: tensorShare * 100})}
	of := func(user string) *hold { return &hold{s: s, ctx: t.Context(), user: user, since: time.Now()} }
	status := func(err error) int { require.Error(t, err); return asProblem(err).status }
	a := of("a")
	require.NoError(t, a.grow(60))
	require.NoError(t, a.grow(30), "a single request may have more than half")
	assert.Equal(t, http.StatusRequestEntityTooLarge, status(a.grow(11)))
	again := of("a")
	err := again.grow(5)
	assert.Equal(t, http.StatusTooManyRequests, status(err))
	assert.Positive(t, asProblem(err).retry)
	b := of("b")
	require.NoError(t, b.grow(10))
	err = b.grow(10)
	assert.Equal(t, http.StatusServiceUnavailable, status(err))
	assert.Positive(t, asProblem(err).retry)
	a.leave()
	require.NoError(t, b.grow(10))
	b.leave()
	again.leave()
	assert.Empty(t, s.tensors.users)
	assert.True(t, s.tensors.TryAcquire(100), "all is given back")
}

// A body that comes by single bytes is given up, though it does not stop.
func TestBodiesOfTensorsHaveAPace(t *testing.T) {
	s := &Server{tensors: newTensors(Bounds{})}
	s.o.Bounds.Idle = time.Minute
	h := &hold{s: s, ctx: t.Context(), user: "a", since: time.Now()}
	r := h.metered(zeros(1<<20), 1)
	_, err := r.Read(make([]byte, 1))
	require.NoError(t, err)
	h.since = h.since.Add(-time.Hour)
	_, err = r.Read(make([]byte, 1))
	require.Error(t, err)
	assert.Equal(t, http.StatusRequestTimeout, asProblem(err).status)
}
