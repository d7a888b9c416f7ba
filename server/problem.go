package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/queue"
)

// problem is an error with its status, and a sentence for the one who asked.
type problem struct {
	status int
	detail string
	retry  int // seconds; 0: that would not help
}

func (p *problem) Error() string { return p.detail }

func wrong(status int, format string, args ...any) error {
	return &problem{status: status, detail: fmt.Sprintf(format, args...)}
}

// later is a problem that time solves.
func later(status, seconds int, format string, args ...any) error {
	return &problem{status, fmt.Sprintf(format, args...), seconds}
}

// sentences say what to do about statuses that Echo answers with by itself.
var sentences = map[int]string{
	http.StatusNotFound:              "there is nothing at this address: /api has the addresses that there are",
	http.StatusMethodNotAllowed:      "this address does not take this method: /api has those that it takes",
	http.StatusRequestEntityTooLarge: "the body is larger than this address takes: upload scans by /api/v1/tus or /api/v1/uploads",
	http.StatusUnsupportedMediaType:  "the body is not of a type that this address takes: send application/json",
}

// badParameter is the name of a parameter that the generated routes refuse.
func badParameter(h *echo.HTTPError) (name string, ok bool) {
	rest, ok := strings.CutPrefix(fmt.Sprint(h.Message), "Invalid format for parameter ")
	name, _, _ = strings.Cut(rest, ":")
	return name, ok
}

// asProblem finds the status and the sentence of an error.
func asProblem(err error) *problem {
	var p *problem
	var h *echo.HTTPError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &tooLarge):
		return &problem{status: http.StatusRequestEntityTooLarge, detail: sentences[http.StatusRequestEntityTooLarge]}
	case errors.As(err, &h):
		detail := sentences[h.Code]
		if name, ok := badParameter(h); ok {
			detail = fmt.Sprintf("the parameter %.40s is missing or not what /api describes", name)
		}
		if detail == "" {
			detail = fmt.Sprint(h.Message)
		}
		return &problem{status: h.Code, detail: detail}
	case errors.Is(err, queue.ErrNotFound), errors.Is(err, blob.ErrNotFound):
		return &problem{status: http.StatusNotFound, detail: "there is none of this id: it was deleted, has expired, or was never there"}
	case errors.Is(err, blob.ErrFull):
		return &problem{http.StatusServiceUnavailable, "the server's disk is full: delete uploads and jobs that are not needed any more, or tell who runs it", 60}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &problem{http.StatusServiceUnavailable, "the request was not answered in time: try again", 5}
	}
	return &problem{http.StatusInternalServerError, "the server could not do this: try again, and if that does not help tell who runs it the request_id", 0}
}

// answerError is Echo's error handler.
func (s *Server) answerError(err error, c echo.Context) {
	p := asProblem(err)
	id := c.Response().Header().Get(echo.HeaderXRequestID)
	if p.status >= http.StatusInternalServerError {
		said := err.Error()
		if d := (*discreet)(nil); errors.As(err, &d) {
			said = d.log
		}
		s.o.Log.Error("request", "route", c.Path(), "request_id", id, "error", said)
	}
	if c.Response().Committed {
		return
	}
	h := c.Response().Header()
	if p.retry > 0 {
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(p.retry))
	}
	if p.status == http.StatusUnauthorized {
		h.Set(echo.HeaderWWWAuthenticate, "Bearer")
	}
	if c.Request().Method == http.MethodHead {
		_ = c.NoContent(p.status) // the client is gone
		return
	}
	var b []byte
	if plain, ok := facadeErrors(c.Request(), p); ok { // protocols that have a form of their own
		h.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
		b = plain
	} else {
		h.Set(echo.HeaderContentType, "application/problem+json")
		b, _ = json.Marshal(api.Problem{Title: http.StatusText(p.status), Status: p.status, Detail: p.detail, RequestID: id}) // it can be
	}
	c.Response().WriteHeader(p.status)
	_, _ = c.Response().Write(b) // the client is gone
}
