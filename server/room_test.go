package server

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// disk gives a server's uploads a disk of so many bytes, and returns what is left of it.
func (r *running) disk(bytes int64) func() int64 {
	free := func() int64 {
		left := bytes
		_ = filepath.WalkDir(r.o.Data, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.Contains(path, "queue") {
				return nil
			}
			if stat, err := d.Info(); err == nil {
				left -= stat.Size()
			}
			return nil
		})
		return left
	}
	before := bytes - free() // models and locks
	r.parts.Free = func() (int64, bool) { return free() + before, true }
	return func() int64 { return free() + before }
}

// Uploads are refused as soon as what they say to have, and what others have yet to
// send, would not leave the reserve free.
func TestUploadsThatDoNotFitAreRefused(t *testing.T) {
	o := testOptions(t)
	o.Bounds.Reserve = 100 << 10
	r := start(t, o)
	r.disk(1 << 20)
	create := func(bytes int) *http.Response {
		return r.do("POST", tusPath, nil, "Tus-Resumable", tusVersion, "Upload-Length", strconv.Itoa(bytes), "Upload-Metadata", "filename eC5uaWk=")
	}
	refused(t, create(1<<20), http.StatusServiceUnavailable)
	first := create(600 << 10)
	read(t, first, http.StatusCreated)
	refused(t, create(600<<10), http.StatusServiceUnavailable)
	refused(t, r.do("POST", "/api/v1/uploads?name=x.nii", make([]byte, 600<<10)), http.StatusServiceUnavailable)
	body, contentType := formWith(t, formPart{"image", "x.nii", make([]byte, 600<<10)})
	assert.Equal(t, http.StatusServiceUnavailable, r.do("PUT", "/monai/session/", body, "Content-Type", contentType).StatusCode)
	read(t, create(200<<10), http.StatusCreated)

	read(t, r.do("DELETE", first.Header.Get("Location"), nil, "Tus-Resumable", tusVersion), http.StatusNoContent)
	read(t, create(600<<10), http.StatusCreated)
}

// Bodies of unknown length end where the reserve begins, and leave nothing.
func TestTheReserveStaysFreeWhileBodiesCome(t *testing.T) {
	o := testOptions(t)
	o.Bounds.Reserve = 100 << 10
	r := start(t, o)
	free := r.disk(1 << 20)
	least := int64(1 << 20)
	was := r.parts.Free
	r.parts.Free = func() (int64, bool) {
		n, ok := was()
		least = min(least, n)
		return n, ok
	}
	q, err := http.NewRequestWithContext(t.Context(), "POST", r.web.URL+"/api/v1/uploads?name=x.nii", zeros(4<<20))
	require.NoError(t, err)
	q.ContentLength = -1
	a, err := http.DefaultTransport.RoundTrip(q)
	if err == nil { // else the connection was closed while the body was sent
		refused(t, a, http.StatusServiceUnavailable)
	}
	require.Eventually(t, func() bool { return free() == 1<<20 }, time.Minute, time.Millisecond)
	assert.GreaterOrEqual(t, least, o.Bounds.Reserve)
	assert.Less(t, least, int64(1<<20), "nothing was written")
}

// zeros hides how many bytes it has.
func zeros(n int) *hidden { return &hidden{strings.NewReader(strings.Repeat("\x00", n))} }

type hidden struct{ r *strings.Reader }

func (h *hidden) Read(p []byte) (int, error) { return h.r.Read(p) }

// Who asks for the offset while bytes come is told at once how many there are.
func TestTheOffsetIsToldWhileBytesCome(t *testing.T) {
	r := start(t, testOptions(t))
	at := tusCreate(r, 1000)
	body, send := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	q, err := http.NewRequestWithContext(ctx, "PATCH", r.web.URL+at, body)
	require.NoError(t, err)
	q.ContentLength = 1000
	for k, v := range map[string]string{"Tus-Resumable": tusVersion, "Upload-Offset": "0", "Content-Type": tusType} {
		q.Header.Set(k, v)
	}
	ended := make(chan error, 1)
	go func() {
		a, err := http.DefaultTransport.RoundTrip(q)
		if err == nil {
			err = errors.Join(errors.New("it was answered"), a.Body.Close())
		}
		ended <- err
	}()
	_, err = send.Write(make([]byte, 300))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		ask, stop := context.WithTimeout(t.Context(), 5*time.Second) // the body's patience is 30 s
		defer stop()
		q, err := http.NewRequestWithContext(ask, "HEAD", r.web.URL+at, nil)
		require.NoError(t, err)
		q.Header.Set("Tus-Resumable", tusVersion)
		a, err := http.DefaultTransport.RoundTrip(q)
		require.NoError(t, err, "it is not answered")
		require.NoError(t, a.Body.Close())
		return a.Header.Get("Upload-Offset") == "300"
	}, time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, send.Close())
	require.Error(t, <-ended)
}
