package test

import (
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
)

// full is a server for uploads whose disk is full for the first request, or for ever.
func full(forever bool) func(http.Handler) http.Handler {
	var asked, arrived atomic.Int64
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path != "/tus" && r.URL.Path != "/tus/1":
				h.ServeHTTP(w, r)
			case asked.Add(1) == 1 || forever:
				w.Header().Set("Content-Type", "application/problem+json")
				if !forever {
					w.Header().Set("Retry-After", "1")
				}
				w.WriteHeader(http.StatusInsufficientStorage)
				_, _ = io.WriteString(w, `{"detail":"the disk is full"}`)
			case r.Method == http.MethodPost:
				w.Header().Set("Location", "/tus/1")
				w.WriteHeader(http.StatusCreated)
			case r.Method == http.MethodHead:
				w.Header().Set("Upload-Length", strconv.Itoa(4<<20))
				w.Header().Set("Upload-Offset", strconv.FormatInt(arrived.Load(), 10))
			default:
				n, _ := io.Copy(io.Discard, r.Body)
				w.Header().Set("Upload-Offset", strconv.FormatInt(arrived.Add(n), 10))
				w.WriteHeader(http.StatusNoContent)
			}
		})
	}
}

const send = `(async () => {
  const told = [];
  const end = await tus.upload("tus", "scan", new Blob([new Uint8Array(4 << 20)]), "", (...a) => told.push(a.join(" ").trim())).done.catch((e) => e.message);
  return [...told, end].join("; ");
})()`

// What the server says is told, and asked again only where that can help.
func TestAnUploadTellsWhyItWaitsAndHowItMoves(t *testing.T) {
	p := open(t, newSite(t, full(false)), 1000, 700)
	assert.Equal(t, "0 true the disk is full; 1 0 false; 1 1048576 false; 1 2097152 false; 1 3145728 false; 1 4194304 false; 1", eval[string](p, send))
	p = open(t, newSite(t, full(true)), 1000, 700)
	assert.Equal(t, "the disk is full", eval[string](p, send))
}
