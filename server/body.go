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
// leave, which Go's server reads before it answers.
func (s *Server) impatient(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if s.o.Bounds.Idle > 0 && r.Body != http.NoBody {
			b := &body{r.Body, http.NewResponseController(c.Response()), s.o.Bounds.Idle}
			b.wait()
			r.Body = b
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
