package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/gounet/gounet/internal/api"
	"github.com/gounet/gounet/server/blob"
	"github.com/gounet/gounet/server/engine"
	"github.com/gounet/gounet/server/queue"
)

// GetResult hands out a file of a job.
func (s rest) GetResult(c echo.Context, id api.ObjectID, name string) error {
	r, err := s.job(c, id)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(r.Results, func(f api.JobResult) bool { return f.Name == name })
	if at < 0 {
		return wrong(http.StatusNotFound, "job %s has no result of this name: the job lists those that it has", id)
	}
	return s.sendResult(c, r, r.Results[at])
}

// GetPartial hands out the labels of the tiles of a running job that are done.
func (s rest) GetPartial(c echo.Context, id api.ObjectID) error {
	r, err := s.job(c, id)
	if err != nil {
		return err
	}
	if api.JobOver(r.State) {
		return wrong(http.StatusNotFound, "job %s is over: its results have the labels, if it is done", id)
	}
	b, err := s.blobs.Open(c.Request().Context(), engine.PartialBlob(r.ID, r.Attempts))
	if errors.Is(err, blob.ErrNotFound) {
		return c.NoContent(http.StatusNoContent)
	}
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // only read from
	s.audit(c, "read", "partial", r.ID)
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "application/gzip")
	h.Set("ETag", fmt.Sprintf(`"%d-%x"`, r.Attempts, b.Info().Changed.UnixNano()))
	h.Set(echo.HeaderCacheControl, "no-store")
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, b)
	return nil
}

// resultBlob is the name of the blob of a result.
func resultBlob(r *queue.Record, f api.JobResult) string {
	return engine.ResultFolder(r.ID, r.Attempts) + f.Name
}

// openResult opens a file of a job for the one who asks, of which the audit log tells:
// no other way leads to results.
func (s *Server) openResult(c echo.Context, r *queue.Record, f api.JobResult) (blob.Object, error) {
	s.audit(c, "read", "result", r.ID)
	return s.blobs.Open(c.Request().Context(), resultBlob(r, f))
}

func (s *Server) sendResult(c echo.Context, r *queue.Record, f api.JobResult) error {
	b, err := s.openResult(c, r, f)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // only read from
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, f.MediaType)
	h.Set("ETag", `"`+f.SHA256+`"`)
	h.Set(echo.HeaderCacheControl, "private, max-age=3600")
	h.Set(echo.HeaderContentDisposition, fmt.Sprintf("attachment; filename=%q", f.Name))
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, b)
	return nil
}
