package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var page = fstest.MapFS{
	"index.html":  {Data: []byte("<!doctype html>")},
	"app.wasm":    {Data: []byte("plain")},
	"app.wasm.gz": {Data: []byte("small")},
	".gitignore":  {Data: []byte("*")},
	"secret.go":   {Data: []byte("package secret")},
}

func get(method, path, accept string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept-Encoding", accept)
	w := httptest.NewRecorder()
	Handler(page).ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

func TestThePageIsIsolatedAndTalksToNobodyElse(t *testing.T) {
	for _, path := range []string{"/", "/app.wasm", "/nothing.js"} {
		h := get(http.MethodGet, path, "").Header
		assert.Equal(t, "same-origin", h.Get("Cross-Origin-Opener-Policy"), "shared memory needs it")
		assert.Equal(t, "require-corp", h.Get("Cross-Origin-Embedder-Policy"))
		for directive := range strings.SplitSeq(h.Get("Content-Security-Policy"), ";") {
			name, values, _ := strings.Cut(strings.TrimSpace(directive), " ")
			if name != "style-src-attr" {
				assert.NotContains(t, values, "'unsafe-inline'", name)
			}
			assert.NotContains(t, values, "'unsafe-eval'")
			assert.NotContains(t, values, "*", "no other host")
			assert.NotContains(t, values, "http")
		}
	}
}

func TestFilesComeCompressedToThoseWhoTakeThem(t *testing.T) {
	r := get(http.MethodGet, "/app.wasm", "gzip, br")
	assert.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
	assert.Equal(t, "application/wasm", r.Header.Get("Content-Type"))
	assert.Equal(t, "small", body(t, r))
	r = get(http.MethodGet, "/app.wasm", "")
	assert.Empty(t, r.Header.Get("Content-Encoding"))
	assert.Equal(t, "plain", body(t, r))
}

func TestOnlyFilesOfThePageAreServed(t *testing.T) {
	for _, path := range []string{"/.gitignore", "/secret.go", "/app.wasm.gz", "/../web.go", "/nothing.js"} {
		assert.Equal(t, http.StatusNotFound, get(http.MethodGet, path, "").StatusCode, path)
	}
	assert.Equal(t, http.StatusMethodNotAllowed, get(http.MethodPost, "/", "").StatusCode)
}

func TestAFileIsSentOnceToABrowserThatKeepsIt(t *testing.T) {
	first := get(http.MethodGet, "/app.wasm", "gzip")
	require.NotEmpty(t, first.Header.Get("ETag"))
	require.NotEqual(t, get(http.MethodGet, "/app.wasm", "").Header.Get("ETag"), first.Header.Get("ETag"), "another coding is another file")
	r := httptest.NewRequest(http.MethodGet, "/app.wasm", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	r.Header.Set("If-None-Match", first.Header.Get("ETag"))
	w := httptest.NewRecorder()
	Handler(page).ServeHTTP(w, r)
	assert.Equal(t, http.StatusNotModified, w.Code)
}
