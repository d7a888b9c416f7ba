package server

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/labstack/echo/v4"
)

// impatient gives up bodies that stop coming: those that handlers read, and what they
// leave, which Go's server reads before it answers. And it gives up clients that do not
// take their answer.
func (s *Server) impatient(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if s.o.Bounds.Idle > 0 && r.Body != http.NoBody {
			b := &body{r.Body, http.NewResponseController(c.Response()), s.o.Bounds.Idle}
			b.wait()
			r.Body = b
		}
		if s.o.Bounds.Idle > 0 {
			w := c.Response().Writer
			c.Response().Writer = &answer{w, http.NewResponseController(w), s.o.Bounds.Idle}
		}
		return next(c)
	}
}

// body is a request's, of which something has to come every idle.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	idle    time.Duration
}

// wait begins to wait for bytes. Go's server waits anew for each request.
func (b *body) wait() {
	_ = b.control.SetReadDeadline(time.Now().Add(b.idle)) // a test's recorder has none
}

func (b *body) Read(p []byte) (int, error) {
	b.wait()
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{}) // from now on silence is no fault
	}
	return n, err
}

// answer is one of which a piece has to be taken every idle.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
}

// answerPiece is what a client of 2 kB a second takes in DefaultBounds' time.
const answerPiece = 64 << 10

func (a *answer) wait() {
	// Before the first byte Go's server may wait for the rest of the body.
	_ = a.control.SetWriteDeadline(time.Now().Add(2 * a.idle)) // a test's recorder has none
}

func (a *answer) WriteHeader(status int) {
	a.wait()
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (n int, err error) {
	for first := true; first || len(p) > 0; first = false {
		a.wait()
		m, err := a.ResponseWriter.Write(p[:min(len(p), answerPiece)])
		n += m
		if err != nil {
			return n, err
		}
		p = p[m:]
	}
	return n, nil
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// bodyError tells errors of the network from those of the disk.
func bodyError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return wrong(http.StatusRequestTimeout, "the body stopped coming: send it again, or by /api/v1/tus, which goes on where it stopped")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return wrong(http.StatusBadRequest, "the body ended before its Content-Length: send it again, or by /api/v1/tus")
	}
	return err
}
