package server

import (
	"context"
	"io"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"
)

// Memory of the tensors of requests, which are not yet scans on the disk. It is taken as
// the bytes come, not as they are announced: who sends slowly keeps others from little.

// tensors are who has how much of it.
type tensors struct {
	*semaphore.Weighted
	most int64

	mu    sync.Mutex
	users map[string]int64
}

func newTensors(b Bounds) *tensors {
	most := b.HostBytes / tensorShare
	if most == 0 {
		most = math.MaxInt64
	}
	return &tensors{Weighted: semaphore.NewWeighted(most), most: most, users: map[string]int64{}}
}

const (
	holdTime  = 5 * time.Second // until a request that finds no memory is sent away
	holdPiece = 64 << 10        // bytes of a body for which memory is taken at once
	slowest   = 16 << 10        // bytes a second that a body has to come with, after Bounds.Idle
)

// hold is what a request has of the memory of tensors.
type hold struct {
	s     *Server
	ctx   context.Context
	user  string
	since time.Time
	read  int64 // bytes of the body that have come
	have  int64 // bytes of memory
}

func (s *Server) hold(c echo.Context) *hold {
	return &hold{s: s, ctx: c.Request().Context(), user: who(c).user, since: time.Now()}
}

func (h *hold) begun() bool { return h.have > 0 }

// fits refuses what can never be had.
func (h *hold) fits(bytes int64) error {
	if most := h.s.tensors.most; bytes > most {
		return wrong(http.StatusRequestEntityTooLarge, "the tensors take %d MiB of memory, this server has %d MiB for those of requests: upload the scan as a file and submit a job", bytes>>20, most>>20)
	}
	return nil
}

// grow takes so many bytes more. A user has at most half, unless by a single request.
func (h *hold) grow(bytes int64) error {
	if err := h.fits(h.have + bytes); err != nil {
		return err
	}
	t := h.s.tensors
	t.mu.Lock()
	others := t.users[h.user] - h.have
	if others > 0 && others+h.have+bytes > t.most/2 {
		t.mu.Unlock()
		return later(http.StatusTooManyRequests, 5, "other requests of %s take memory for tensors of %d MiB already: wait for their answers", h.user, others>>20)
	}
	t.users[h.user] += bytes
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(h.ctx, holdTime)
	defer cancel()
	if err := t.Acquire(ctx, bytes); err != nil {
		h.give(bytes)
		return later(http.StatusServiceUnavailable, 5, "the memory for tensors is taken by other requests: send it again, or upload the scan as a file and submit a job")
	}
	h.have += bytes
	return nil
}

// give lets the user have so many bytes again.
func (h *hold) give(bytes int64) {
	t := h.s.tensors
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users[h.user] -= bytes; t.users[h.user] == 0 {
		delete(t.users, h.user)
	}
}

func (h *hold) leave() {
	if h.have > 0 {
		h.s.tensors.Release(h.have)
		h.give(h.have)
		h.have = 0
	}
}

// metered takes as many bytes of memory for each byte that r has.
func (h *hold) metered(r io.Reader, each int64) io.Reader { return &metered{h, r, each} }

type metered struct {
	h    *hold
	r    io.Reader
	each int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.r.Read(p[:min(len(p), holdPiece)])
	if n > 0 {
		if err := m.h.grow(m.each * int64(n)); err != nil {
			return 0, err
		}
	}
	m.h.read += int64(n)
	patience := m.h.s.o.Bounds.Idle + time.Duration(m.h.read/slowest)*time.Second
	if m.h.s.o.Bounds.Idle > 0 && err == nil && time.Since(m.h.since) > patience {
		return n, wrong(http.StatusRequestTimeout, "the tensors come with less than %d KiB a second: upload the scan by /api/v1/tus and submit a job", slowest>>10)
	}
	return n, err
}
